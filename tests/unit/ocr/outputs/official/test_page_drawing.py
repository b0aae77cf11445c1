"""Boxes, outlines, labels and pictures, against what the scripts' arithmetic gives."""

from __future__ import annotations

import time

import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.unit.ocr.outputs.conftest import tag

from dsk.ocr.outputs.official.page_drawing import Edges, PageBox, boxes, draw, pictures, tag_edges
from dsk.ocr.outputs.palette import index, rgb

LONG = "image<|/ref|> a broken tag\n" + "and all that it swallows " * 40
WHOLE = (0, 0, 100, 200)


def answer(*tags: tuple[str, str]) -> str:
    return "".join(f"<|ref|>{label}<|/ref|><|det|>{text}<|/det|>" for label, text in tags)


def cut(page: Image.Image, text: str) -> dict[int, Image.Image]:
    return dict(pictures(page, boxes(text, page.size, most=5_000)))


def drawn(page: Image.Image, text: str) -> Image.Image:
    return draw(page, boxes(text, page.size, most=5_000))


# A page of 100 x 200: v / 999 * side, without what is behind the point.
@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("[[0, 0, 999, 999]]", [WHOLE]),
        ("[[1,2,3,4], [500.5, -10, 1100, 999]]", [(0, 0, 0, 0), (50, -2, 110, 200)]),
        ("[[0, 0, 999999, 1]]", [(0, 0, 100_100, 0)]),
        ("[[1e2, +10, 1_000, 999]]", [(10, 2, 100, 200)]),
        ("[[010, 10, 20, 30]]", []),
        ("[(0, 0, 999, 999)]", [WHOLE]),
        ("((0, 0, 999, 999),)", [WHOLE]),
        ("[0, 0, 999, 999], [0, 0, 500, 500]", [WHOLE, (0, 0, 50, 100)]),
        ("{(0, 0, 999, 999)}", [WHOLE]),
        ("{(0, 0, 999, 999): 'figure'}", [WHOLE]),
        ("[{0: 'left', 1: 'top', 998: 'right', 999: 'bottom'}]", [(0, 0, 99, 200)]),
        (r"[b'\x00\x00\xff\xff']", [(0, 0, 25, 51)]),
        ("[[False, None or 0, 999 + 0, 9_99]]", [WHOLE]),
        ("\t [[0, 0, 999, 999],]\n# boxes", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3]]", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3, 4, 5], [0, 0, 999, 999]]", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3, '4'], [0, 0, 999, 999]]", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3, 1e999]]", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3, 1e999 - 1e999]]", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3, 4j]]", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3, [4]]]", [WHOLE]),
        (f"[[0, 0, 999, 999], [1, 2, 3, {'9' * 400}]]", [WHOLE]),
        ("[[0, 0, 999, 999], [], [0, 0, 999, 999]]", [WHOLE]),
        ("[[0, 0, 999, 999], 7]", [WHOLE]),
        ("[[0, 0, 999, 999], None]", [WHOLE]),
        ("[[0, 0, 999, 999], [1, 2, 3, name]]", []),
        ("[[0, 0, 999, 999], [1, 2, 3, 4]", []),
        ("[[0, 0, 999, 999] [1, 2, 3, 4]]", []),
        ("[[1, 2, 3]]", []),
        ("[1, 2, 3, 4]", []),
        ("[[[1, 2, 3, 4]]]", []),
        ("'[[1, 2, 3, 4]]'", []),
        ("b'abcd'", []),
        ("[[1, 2, 3, 4]] + 1", []),
        ("[]", []),
        ("7", []),
        ("None", []),
        ("", []),
        ("exit()", []),
    ],
)
def test_the_boxes_of_a_tag_end_before_the_first_that_is_no_four_numbers(
    text: str, edges: list[Edges]
) -> None:
    assert list(tag_edges(text, (100, 200))) == edges


def test_no_more_boxes_are_taken_than_asked_for() -> None:
    text = tag("text", *[(0, 0, 9, 9)] * 9) + tag("image", (1, 1, 5, 5))
    assert len(boxes(text, (100, 100), most=9)) == 9
    assert boxes(text, (999, 999), most=20)[-1] == PageBox("image", (1, 1, 5, 5))


def test_boxes_are_outlined_and_tinted() -> None:
    white = Image.new("RGB", (999, 999), "white")
    boxed = drawn(white, tag("title", (100, 100, 900, 900)) + tag("text", (200, 200, 300, 300)))
    line = boxed.getpixel((500, 103))
    assert boxed.getpixel((500, 100)) == boxed.getpixel((100, 500)) == line
    assert boxed.getpixel((500, 104)) == boxed.getpixel((500, 500)) != line
    inner = boxed.getpixel((250, 201))
    assert inner == boxed.getpixel((250, 200)) != boxed.getpixel((250, 202))
    tint = tuple(round(255 - (255 - 255 * part) * 20 / 255) for part in rgb(index("title")))
    assert boxed.getpixel((500, 500)) == pytest.approx(tint, abs=1)
    assert boxed.getpixel((50, 50)) == (255, 255, 255)


@pytest.mark.parametrize("label", ["title", "text", LONG])
@pytest.mark.parametrize(
    "box",
    [
        (-400, 300, 600, 500),
        (300, -90, 600, 30),
        (300, 600, 2900, 2800),
        (-1500, -1500, 2900, 2900),
        (1500, 300, 2900, 600),
        (-1500, 300, -900, 600),
        (300, -1500, 600, -900),
    ],
)
def test_a_box_over_the_edge_looks_as_on_a_larger_page(
    label: str, box: tuple[int, int, int, int]
) -> None:
    page = Image.new("RGB", (200, 200), "white")
    left, top, right, bottom = (int(number / 999 * 200) for number in box)
    colour = tuple(int(part * 255) for part in rgb(index(label)))
    # Drawn 500 px further right and down, on a page that has all of it.
    larger = Image.new("RGB", (1200, 1200), "white")
    overlay = Image.new("RGBA", larger.size)
    edges = [left + 500, top + 500, right + 500, bottom + 500]
    pen, font = ImageDraw.Draw(larger), ImageFont.load_default()
    pen.rectangle(edges, outline=colour, width=4 if label == "title" else 2)
    ImageDraw.Draw(overlay).rectangle(edges, fill=(*colour, 20), outline=(0, 0, 0, 0))
    at = (left + 500, max(0, top - 15) + 500)
    _, _, width, height = pen.textbbox((0, 0), label, font=font)
    x0, y0, *_ = pen.textbbox((0, 0), label, font=font)
    pen.rectangle([*at, at[0] + width - x0, at[1] + height - y0], fill=(255, 255, 255))
    pen.text(at, label, font=font, fill=colour)
    larger.paste(overlay, (0, 0), overlay)
    expected = larger.crop((500, 500, 700, 700))
    found = draw(page, [PageBox(label, (left, top, right, bottom))])
    assert found.tobytes() == expected.tobytes()


def test_a_box_with_swapped_edges_is_not_drawn() -> None:
    page = Image.new("RGB", (100, 100), "white")
    for box in ((900, 100, 100, 900), (100, 900, 900, 100), (100, -4000, 900, -5000)):
        assert drawn(page, tag("text", box)).tobytes() == page.tobytes()


def test_far_edges_cost_no_time() -> None:
    page = Image.new("RGB", (1000, 1000), "white")
    far = "[[0, -2_000_000_000, 999, 2_000_000_000], [-1e300, 0, 1e300, 9]]"
    began = time.process_time()
    drawn(page, answer(*[(LONG, far)] * 20))
    assert time.process_time() - began < 10


def test_a_label_that_cannot_be_drawn_is_left_out() -> None:
    page = Image.new("RGB", (100, 100), "white")
    plain = drawn(page, tag("", (100, 300, 500, 500)))
    odd = drawn(page, tag("\ud800", (100, 300, 500, 500)))
    assert odd.getpixel((30, 30)) != (255, 255, 255)
    assert odd.size == plain.size


def test_a_picture_over_the_edge_is_black_there_and_an_empty_one_keeps_its_number() -> None:
    page = Image.new("RGB", (100, 100), "white")
    cuts = cut(page, tag("image", (900, 900, 100, 100), (5, 5, 5, 9), (500, 500, 1998, 999)))
    assert list(cuts) == [2]
    assert cuts[2].size == (150, 50)
    assert cuts[2].getpixel((149, 0)) == (0, 0, 0)


def test_a_picture_far_over_the_edge_has_its_size_and_its_number() -> None:
    page = Image.new("RGB", (100, 100), "white")
    cuts = cut(page, tag("image", (0, 0, 4995, 1998), (0, 0, 999, 999)))
    assert {number: picture.size for number, picture in cuts.items()} == {
        0: (500, 200),
        1: (100, 100),
    }


@pytest.mark.parametrize(
    "too_large",
    [
        "[0, 0, 999_000, 1]",
        "[0, 0, 1e300, 999]",
        "[-2e9, -2e9, 2e9, 2e9]",
        "[0, 0, 600_000, 600_000]",
        "[0, 0, 0, 999]",
        "[9, 0, 0, 999]",
    ],
)
def test_a_picture_that_cannot_be_written_counts(too_large: str) -> None:
    page = Image.new("RGB", (100, 100), "white")
    cuts = cut(page, answer(("image", f"[{too_large}, [0, 0, 999, 999]]")))
    assert list(cuts) == [1]


def test_only_boxes_before_a_bad_one_count() -> None:
    page = Image.new("RGB", (100, 100), "white")
    text = answer(
        ("image", "[[0, 0, 500, 500], [1, 2], [0, 0, 999, 999]]"),
        ("image", "[[0, 0, 999, 999], name]"),
        ("text", "[[0, 0, 999, 999]]"),
        ("image", "(0, 0, 200, 300),"),
    )
    sizes = {number: picture.size for number, picture in cut(page, text).items()}
    assert sizes == {0: (50, 50), 1: (20, 30)}


def test_pictures_of_a_page_have_a_limit_together() -> None:
    page = Image.new("RGB", (100, 100), "white")
    # 8,000 x 8,000 twice is too much.
    big = (0, 0, 79_920, 79_920)
    text = tag("image", big, big, (0, 0, 999, 999))
    found = [
        (number, picture.size) for number, picture in pictures(page, boxes(text, page.size, most=9))
    ]
    assert found == [(0, (8_000, 8_000)), (2, (100, 100))]

"""The official scripts' files, against bytes made by hand and their rules put plainly."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.unit.ocr.outputs.conftest import context, opened, tag

from dsk.ocr.documents.opening import open_source
from dsk.ocr.outputs.official.page_drawing import boxes, draw
from dsk.ocr.outputs.official.page_text import END, image_page, page, raw_page, tags
from dsk.ocr.outputs.writer import write
from dsk.ocr.schema.page_record import PageRecord, Status

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import Document

PIECES = [
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|ref|>image<|/ref|><|det|>",
    "[[1, 2, 3, 4]]",
]
PIECES += [
    "image",
    "<|ref|>image<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>",
    "\n\n\n",
    "\n",
    "text",
    " ",
]
TITLE, TEXT = tag("title", (0, 0, 999, 99)), tag("text", (0, 200, 999, 300))
FIGURE = tag("image", (0, 500, 499, 999))


def record(page_number: int, text: str, finish: str = "stop", **other: object) -> PageRecord:
    made = PageRecord(page=page_number, status=Status.OK, text=text, finish_reason=finish)
    return made.model_copy(update=other)


def written(document: Document, found: list[PageRecord]) -> dict[str, bytes]:
    write(context(document, found), frozenset(), "official")
    return {
        str(file.relative_to(document.folder)): file.read_bytes()
        for file in sorted(document.folder.rglob("*"))
        if file.is_file()
    }


def restated(text: str, kept: int) -> str:
    """The PDF script's rules once more, in the plainest way."""
    pattern = re.compile(r"<\|ref\|>(?:.*?)<\|/ref\|><\|det\|>(?:.*?)<\|/det\|>", re.DOTALL)
    found = pattern.findall(text)
    pictures = [one for one in found if "<|ref|>image<|/ref|>" in one]
    for place, one in enumerate(pictures):
        text = text.replace(one, f"![](images/{kept}_{place}.jpg)\n")
    for one in found:
        if one not in pictures:
            text = text.replace(one, "")
            for old, new in ((r"\coloneqq", ":="), (r"\eqqcolon", "=:")):
                text = text.replace(old, new)
            for many in (4, 3):
                text = text.replace("\n" * many, "\n\n")
    return f"{text}\n\n<--- Page Split --->\n"


def test_a_page_is_what_the_rules_make_of_it() -> None:
    text = f"{TITLE}\n# A\n\n\n\n\n\nB \\coloneqq\n{FIGURE}\n{TEXT}\nwords\n"
    assert page(text, 3) == (
        "\n# A\n\nB :=\n![](images/3_0.jpg)\n\nwords\n\n\n<--- Page Split --->\n"
    )
    assert page("no tag \\coloneqq\n\n\n\n", 0) == (
        "no tag \\coloneqq\n\n\n\n\n\n<--- Page Split --->\n"
    )
    assert image_page(f"{FIGURE}{TEXT}a\n\n\n\n\\eqqcolon{FIGURE}") == (
        "![](images/0.jpg)\na\n\n\n\n=:![](images/0.jpg)\n"
    )
    assert raw_page("a") == "a\n\n<--- Page Split --->\n"


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.integers(0, 9))
def test_any_text_is_treated_as_the_rules_say(text: str, kept: int) -> None:
    assert page(text, kept) == restated(text, kept)


def test_a_broken_tag_swallows_the_next_as_it_does_there() -> None:
    (found,) = tags(f"<|ref|>image<|/ref|> and {TEXT}")
    assert found.label == "image<|/ref|> and <|ref|>text"
    assert found.is_image


def test_the_files_of_a_document(document: Document) -> None:
    files = written(
        document, [record(1, f"{TITLE}\n# One\n{FIGURE}"), record(2, f"{FIGURE}two{END}", "length")]
    )
    assert set(files) == {
        *("two pages.mmd", "two pages_det.mmd", "two pages_layouts.pdf"),
        *("images/0_0.jpg", "images/1_0.jpg"),
    }
    assert files["two pages_det.mmd"].decode() == (
        f"{TITLE}\n# One\n{FIGURE}\n\n<--- Page Split --->\n{FIGURE}two\n\n<--- Page Split --->\n"
    )
    assert files["two pages.mmd"].decode() == (
        "\n# One\n![](images/0_0.jpg)\n\n\n<--- Page Split --->\n"
        "![](images/1_0.jpg)\ntwo\n\n<--- Page Split --->\n"
    )
    with opened(document) as source:
        whole = source.image(1, 144)
    expected = io.BytesIO()
    whole.crop((0, 200, 99, 400)).save(expected, "JPEG")
    assert files["images/0_0.jpg"] == expected.getvalue()


def test_a_page_without_an_end_is_left_out_and_not_counted(document: Document) -> None:
    files = written(document, [record(1, f"{FIGURE}endless", "length"), record(2, FIGURE)])
    assert set(files) >= {"images/0_0.jpg"}
    assert b"endless" not in files["two pages.mmd"]
    with pymupdf.open(stream=files["two pages_layouts.pdf"]) as layouts:
        assert len(layouts) == 1


def test_nothing_kept_is_no_layout(document: Document) -> None:
    written(document, [record(1, "a")])
    assert set(written(document, [record(1, "a", "length")])) == {
        "two pages.mmd",
        "two pages_det.mmd",
    }


def test_the_layout_has_jpegs_at_96_dots_an_inch_the_same_every_time(document: Document) -> None:
    first = written(document, [record(1, TITLE)])["two pages_layouts.pdf"]
    assert written(document, [record(1, TITLE)])["two pages_layouts.pdf"] == first
    with opened(document) as source:
        page_image = source.image(1, 144)
    boxed = draw(page_image, boxes(TITLE, page_image.size, most=1))
    expected = io.BytesIO()
    boxed.save(expected, "JPEG", quality=95)
    with pymupdf.open(stream=first) as layouts:
        assert layouts[0].rect[2:] == (150, 300)
        (image,) = layouts[0].get_images()
        assert layouts.xref_stream_raw(image[0]) == expected.getvalue()


def test_the_files_of_an_image(document: Document) -> None:
    Image.new("RGB", (80, 40), (9, 99, 199)).save(document.path.with_name("a.png"))
    photo = document.model_copy(
        update={"kind": "image", "page_count": 1, "path": document.path.with_name("a.png")}
    )
    text = f"{TITLE}# A{FIGURE} line_type __import__('os').abort()"
    files = written(photo, [record(1, text, "length")])
    assert set(files) == {
        *("result_ori.mmd", "result.mmd", "result_with_boxes.jpg", "images/0.jpg")
    }
    assert files["result_ori.mmd"].decode() == text
    assert files["result.mmd"].decode() == (
        "# A![](images/0.jpg)\n line_type __import__('os').abort()"
    )


@pytest.mark.parametrize(
    ("length", "kept"), [(0, False), (1, True), (65_533, True), (65_534, False), (99_999, False)]
)
def test_an_images_comment_is_in_its_jpegs_where_it_fits(
    document: Document, length: int, kept: bool
) -> None:
    path = document.path.with_name("a.gif")
    Image.new("P", (80, 40)).save(path, comment=b"c" * length)
    photo = document.model_copy(update={"kind": "image", "page_count": 1, "path": path})
    made = context(photo, [record(1, FIGURE)], source=lambda: open_source(path))
    write(made, frozenset(), "official")
    for name in ("images/0.jpg", "result_with_boxes.jpg"):
        with Image.open(photo.folder / name) as picture:
            assert picture.info.get("comment") == (b"c" * length if kept else None)


def test_pictures_of_an_earlier_run_go_and_what_is_not_ours_stays(document: Document) -> None:
    written(document, [record(1, FIGURE)])
    (document.folder / "images" / "mine.jpg").write_bytes(b"")
    assert {name for name in written(document, [record(1, "a")]) if "images" in name} == {
        "images/mine.jpg"
    }

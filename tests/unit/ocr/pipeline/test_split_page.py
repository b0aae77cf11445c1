"""Pages in two halves: split at the emptiest row, with boxes of the whole page."""

from __future__ import annotations

from PIL import Image, ImageDraw

from dsk.ocr.pipeline import split_page


def lines(height: int, gap: int) -> Image.Image:
    """A page full of lines but for a gap of 6 px, from ``gap`` on."""
    image = Image.new("RGB", (100, height), "white")
    draw = ImageDraw.Draw(image)
    for row in range(0, height, 2):
        draw.line((10, row, 90, row), "black")
        draw.line((10, row + 1, 90, row + 1), "grey")
    draw.rectangle((0, gap, 99, gap + 5), "white")
    return image


def test_a_page_is_split_at_the_emptiest_row_near_its_middle() -> None:
    for gap in (410, 480, 520, 590):
        assert gap <= split_page.emptiest_row(lines(1000, gap)) <= gap + 5


def test_what_is_far_from_the_middle_is_not_looked_at() -> None:
    assert 400 <= split_page.emptiest_row(lines(1000, 100)) <= 600


def test_an_empty_page_is_split_in_its_middle() -> None:
    assert split_page.emptiest_row(Image.new("RGB", (10, 1000), "white")) == 500
    assert split_page.emptiest_row(Image.new("L", (1, 2))) == 1


def test_boxes_are_those_of_the_whole_page() -> None:
    tag = "<|ref|>text<|/ref|><|det|>[[10, 0, 20, 999], [1, 500, 2, 600]]<|/det|>\n"
    found = split_page.join_texts(tag + "above", tag + "below", split_row=400, height=1000)
    assert found == (
        "<|ref|>text<|/ref|><|det|>[[10, 0, 20, 400], [1, 200, 2, 240]]<|/det|>\nabove\n\n"
        "<|ref|>text<|/ref|><|det|>[[10, 400, 20, 999], [1, 700, 2, 760]]<|/det|>\nbelow"
    )


def test_boxes_behind_their_label_are_those_of_the_whole_page_too() -> None:
    tag = "<|det|>image_caption [10, 0, 20, 999]<|/det|>"
    found = split_page.join_texts(tag + "above", tag + "below", split_row=400, height=1000)
    assert found == (
        "<|det|>image_caption [10, 0, 20, 400]<|/det|>above\n\n"
        "<|det|>image_caption [10, 400, 20, 999]<|/det|>below"
    )


def test_numbers_that_are_no_boxes_stay_as_they_are() -> None:
    for text in ("[1, 2, 3, 4]", "<|det|>[[1, 2, 3]]<|/det|>", "<|det|>[[a, 1, 2, 3]]<|/det|>"):
        assert split_page.join_texts("", text, split_row=1, height=2) == text


def test_a_half_that_says_nothing_leaves_the_other() -> None:
    assert split_page.join_texts("above\n", " \n", split_row=1, height=2) == "above"

"""Tags and boxes: what is one, what is text, and that nothing is evaluated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsk.ocr.outputs.boxes import Box, scan
from dsk.ocr.outputs.tags import Tag, tags
from dsk.ocr.schema.page_record import Sheet

PIECES = ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "[[1, 2, 3, 4]]", "image", "\n", "text"]


def found(text: str, *, max_boxes: int = 99) -> list[Tag]:
    return list(tags(text, max_boxes=max_boxes))


def test_a_tag_has_a_label_boxes_and_a_place() -> None:
    text = "a<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>b"
    (tag,) = found(text)
    assert (tag.label, tag.boxes, tag.problem) == ("title", (Box(1, 2, 3, 4),), "")
    assert (text[: tag.start], text[tag.end :]) == ("a", "b")


@pytest.mark.parametrize(
    "text",
    [
        "<|ref|>a",
        "<|ref|>a<|/ref|>",
        "<|ref|>a<|/ref|> <|det|>[]<|/det|>",
        "<|/det|>",
        "<|ref|>a<|/ref|><|det|>[<|ref|>b",
        "<|ref|>a<|det|><|/ref|><|det|>[]<|/det|>",
        f"<|ref|>{'a' * 1001}<|/ref|><|det|>[]<|/det|>",
    ],
)
def test_what_is_not_quite_a_tag_is_text(text: str) -> None:
    assert found(text) == []


def test_a_label_may_stand_before_its_box() -> None:
    text = "a<|det|>image_caption [27, 85, 387, 364]<|/det|>b"
    (tag,) = found(text)
    assert (tag.label, tag.boxes, tag.problem) == ("image_caption", (Box(27, 85, 387, 364),), "")
    assert (text[: tag.start], text[tag.end :]) == ("a", "b")
    assert tag.has_text_on_its_line


def test_a_label_may_stand_before_a_list_of_boxes() -> None:
    (tag,) = found("<|det|>text [[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>")
    assert tag.boxes == (Box(1, 2, 3, 4), Box(5, 6, 7, 8))


@pytest.mark.parametrize(
    "text",
    [
        "<|det|>[[1, 2, 3, 4]]<|/det|>",
        "<|det|>text<|/det|>",
        "<|det|>Some words [1, 2, 3, 4]<|/det|>",
        "<|det|>text [1, 2, 3, 4]",
        "<|det|>text [1, <|det|>2, 3, 4]<|/det|>",
        "<|/det|>text [1, 2, 3, 4]<|/det|>",
        "<|det|>text [1, 2, 3, 4]<|/ref|>",
    ],
)
def test_boxes_without_a_word_before_them_or_without_an_end_are_text(text: str) -> None:
    assert found(text) == []


def test_boxes_in_either_form_count_for_the_same_limit() -> None:
    text = "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>" + "<|det|>b [1, 2, 3, 4]<|/det|>" * 2
    assert [len(tag.boxes) for tag in found(text, max_boxes=2)] == [1, 1, 0]


def test_a_tag_that_was_begun_twice_begins_where_it_is_whole() -> None:
    (tag,) = found("<|ref|>a <|ref|>b<|/ref|><|det|>[]<|/det|>")
    assert tag.label == "b"


def test_an_unfinished_tag_does_not_swallow_the_next() -> None:
    (tag,) = found("<|ref|>a<|/ref|><|det|>[[1, <|ref|>b<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>")
    assert (tag.label, tag.boxes) == ("b", (Box(1, 2, 3, 4),))


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_tags_are_whole_in_order_and_apart(text: str) -> None:
    end = 0
    for tag in found(text):
        assert end <= tag.start < tag.end
        opening = "<|det|>" if tag.has_text_on_its_line else "<|ref|>"
        assert text[tag.start :].startswith(opening)
        assert text[: tag.end].endswith("<|/det|>")
        assert "<|" not in tag.label
        end = tag.end


def test_a_page_has_so_many_boxes_and_no_more() -> None:
    tag = "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>"
    one, two, three = found(tag * 3, max_boxes=3)
    assert [len(each.boxes) for each in (one, two, three)] == [2, 1, 0]
    assert "more boxes than a page may have" in two.problem
    assert "more boxes than a page may have" in three.problem


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("[]", []),
        (" [ ] ", []),
        ("[[1,2,3,4]]", [(1, 2, 3, 4)]),
        ("[[1,2,3,4],]", [(1, 2, 3, 4)]),
        ("[[0, 0, 999, 999], [ 1 ,2, 3.7 , 4 ]]\n", [(0, 0, 999, 999), (1, 2, 3, 4)]),
    ],
)
def test_boxes_are_lists_of_four_numbers(text: str, boxes: list[tuple[int, ...]]) -> None:
    assert scan(text, max_boxes=9) == (tuple(Box(*box) for box in boxes), "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[1, 2, 3, 4]",
        "[[1, 2, 3]]",
        "[[1, 2, 3, 4, 5]]",
        "[[1, 2, 3, 4]",
        "[[1, 2, 3, 4]] or 1",
        "[[1, 2, 3, 0x4]]",
        "[[1, 2, 3, 1e3]]",
        "[[1, 2, 3, \uff14]]",
        "[[1, 2, 3, 4444444444]]",
        "__import__('os').system('false')",
        "[[1, 2, 3, __import__('os')]]",
        "[" * 100_000,
    ],
)
def test_anything_else_is_no_box_and_is_said(text: str) -> None:
    boxes, problem = scan(text, max_boxes=9)
    assert boxes == ()
    assert problem


@pytest.mark.parametrize(
    ("text", "box", "problem"),
    [
        ("[[-5, 0, 1000, 999999999]]", (0, 0, 999, 999), "a box reached over the page's edge"),
        ("[[9, 8, 1, 2]]", (1, 2, 9, 8), "a box had its edges swapped"),
    ],
)
def test_boxes_are_brought_onto_the_page(
    text: str, box: tuple[int, int, int, int], problem: str
) -> None:
    assert scan(text, max_boxes=9) == ((Box(*box),), problem)


def test_a_box_is_carried_over_to_pixels_and_points() -> None:
    sheet = Sheet(width=1190, height=1684, width_pt=595, height_pt=842, dpi=144)
    box = Box(62, 40, 420, 999)
    assert box.pixels(sheet) == (73, 67, 500, 1684)
    assert box.points(sheet) == (36.93, 33.71, 250.15, 842.0)
    assert not box.is_empty_on(sheet)
    assert Box(5, 5, 5, 9).is_empty_on(sheet)

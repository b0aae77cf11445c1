"""Tags: what is one, what is text, and that scanning is linear."""

import time

from hypothesis import given
from hypothesis import strategies as st

from dsk.ocr.tags import tags, without_tags

PIECES = ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "[[1, 2, 3, 4]]", "image", "\n", "text"]


def test_a_tag_has_a_label_and_its_boxes_as_they_were_written() -> None:
    (tag,) = tags("a<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>b")
    assert (tag.label, tag.boxes) == ("title", "[[1, 2, 3, 4]]")


def test_a_tag_on_a_line_of_its_own_takes_the_line_with_it() -> None:
    text = "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n# Heading\n\n\nend"
    assert without_tags(text) == "# Heading\n\n\nend"


def test_a_tag_within_a_line_leaves_the_line() -> None:
    assert without_tags("a <|ref|>x<|/ref|><|det|>[]<|/det|>\nb") == "a \nb"


def test_an_unfinished_tag_is_text() -> None:
    for text in ("<|ref|>a", "<|ref|>a<|/ref|>", "<|ref|>a<|/ref|> <|det|>[]<|/det|>", "<|/det|>"):
        assert without_tags(text) == text


def test_a_tag_that_was_begun_twice_begins_where_it_is_whole() -> None:
    assert without_tags("<|ref|>a <|ref|>b<|/ref|><|det|>[]<|/det|>") == "<|ref|>a "


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_tags_are_whole_in_order_and_apart(text: str) -> None:
    end = 0
    for tag in tags(text):
        assert end <= tag.start < tag.end
        assert text[tag.start : tag.end] == (
            f"<|ref|>{tag.label}<|/ref|><|det|>{tag.boxes}<|/det|>"
        )
        assert "<|ref|>" not in tag.label
        end = tag.end


def test_openings_without_ends_do_not_cost_the_square_of_their_number() -> None:
    def seconds(count: int) -> float:
        begin = time.perf_counter()
        without_tags("<|ref|>a<|/ref|>" * count)
        return time.perf_counter() - begin

    seconds(1000)
    assert seconds(400_000) < 100 * max(seconds(40_000), 1e-3)

"""A document's text from its pages."""

from dsk.ocr.markdown import clean, joined, raw
from dsk.ocr.record import PageRecord, Status

TAG = "<|ref|>text<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>"


def record(page: int, text: str, status: Status = Status.OK, reason: str = "") -> PageRecord:
    return PageRecord(page=page, status=status, text=text, reason=reason)


def test_one_page_is_its_text() -> None:
    assert joined(["a page\n"]) == "a page\n"


def test_pages_stand_in_the_order_of_their_numbers_behind_them() -> None:
    text = clean([record(3, "three"), record(1, "one\n"), record(2, "two")])
    assert text == "one\n\n<!-- page 2 -->\n\ntwo\n\n<!-- page 3 -->\n\nthree\n"


def test_the_first_of_some_pages_says_its_number() -> None:
    assert clean([record(7, "seven")]) == "\n<!-- page 7 -->\n\nseven\n"


def test_tags_are_in_the_raw_text_alone() -> None:
    records = [record(1, f"{TAG}\nwords\n")]
    assert clean(records) == "words\n"
    assert raw(records) == f"{TAG}\nwords\n"


def test_a_page_that_failed_leaves_a_mark_with_its_number_and_reason() -> None:
    text = clean([record(2, "", Status.RENDER_FAILED, "a -->bad<!-- page")])
    assert "<!-- page 2: render-failed, a - -bad<!- - page -->" in text


def test_a_cut_off_answer_is_kept_and_marked() -> None:
    text = clean([record(1, "half", Status.TRUNCATED, "cut off")])
    assert text == "half\n\n<!-- page 1: truncated, cut off -->\n"

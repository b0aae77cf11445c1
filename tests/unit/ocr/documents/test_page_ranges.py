"""Ranges of pages."""

import pytest

from dsk.errors import UsageProblem
from dsk.ocr.documents.page_ranges import resolve


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-end", [1, 2, 3, 4, 5]),
        ("3", [3]),
        ("2-4", [2, 3, 4]),
        ("end", [5]),
        ("4-5,1, 4", [1, 4, 5]),
        (" 1 - 2 ", [1, 2]),
    ],
)
def test_ranges_name_pages_from_1_both_ends_included(text: str, numbers: list[int]) -> None:
    assert resolve(text, 5, name="a.pdf") == numbers


@pytest.mark.parametrize("text", ["0", "6", "4-9", "3-2", "1,7"])
def test_pages_that_are_not_there_are_named_with_the_document(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"not in a\.pdf, which has 5: choose within 1-5"):
        resolve(text, 5, name="a.pdf")


@pytest.mark.parametrize("text", ["", "a", "1-", "-3", "1..3", "1;2", "1-2-3", "²"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="not a range of pages"):
        resolve(text, 5, name="a.pdf")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-20", [1, 2, 3, 4, 5]),
        ("4-9,1", [1, 4, 5]),
        ("1,7", [1]),
        ("3", [3]),
        ("2-end", [2, 3, 4, 5]),
    ],
)
def test_a_short_document_of_a_folder_gives_what_it_has(text: str, numbers: list[int]) -> None:
    assert resolve(text, 5, name="a.pdf", may_be_short=True) == numbers


@pytest.mark.parametrize("text", ["6-9", "7", "6,8-9"])
def test_a_document_without_any_of_the_pages_is_named(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"a\.pdf has none of the pages"):
        resolve(text, 5, name="a.pdf", may_be_short=True)


@pytest.mark.parametrize("text", ["0", "3-2", "0-3"])
def test_what_no_document_can_have_is_refused_in_a_folder_too(text: str) -> None:
    with pytest.raises(UsageProblem, match="not in"):
        resolve(text, 5, name="a.pdf", may_be_short=True)

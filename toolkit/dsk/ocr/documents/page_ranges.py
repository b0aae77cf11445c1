"""Which pages of a document: "3", "2-5", "7-end", and several of them with commas."""

from __future__ import annotations

import re
from typing import Final

from dsk.errors import UsageProblem

_RANGE: Final = re.compile(r"\s*(\d+|end)\s*(?:-\s*(\d+|end)\s*)?")


def chosen(text: str, count: int, *, name: str) -> list[int]:
    """The page numbers that ``text`` names, 1-based, ascending, each once.

    Args:
        text: ranges of pages, both ends inclusive, as ``1-3,7,10-end``.
        count: how many pages the document has.
        name: the document, for the error.

    Raises:
        UsageProblem: the text is no range, or names pages that the document has not.
    """
    numbers: set[int] = set()
    for part, match in _parts(text):
        first = _number(match[1], count)
        last = _number(match[2], count) if match[2] else first
        if not 1 <= first <= last <= count:
            what = f"pages {part.strip()} are not in {name}, which has {count}"
            raise UsageProblem(what, do=f"choose within 1-{count}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def see_that_it_is_a_range(text: str) -> None:
    """Refuse what is no range of pages, whatever the document.

    Raises:
        UsageProblem: the text is none.
    """
    _parts(text)


def _parts(text: str) -> list[tuple[str, re.Match[str]]]:
    parts = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            what = f"'{text}' is not a range of pages"
            raise UsageProblem(what, do="write it like 1-3,7,10-end")
        parts.append((part, match))
    return parts


def _number(text: str, count: int) -> int:
    return count if text == "end" else int(text)

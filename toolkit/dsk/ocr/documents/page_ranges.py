"""Page ranges as users write them: "3", "2-5", "7-end", or several of them with commas."""

from __future__ import annotations

import re
from typing import Final

from dsk.errors import UsageProblem

_RANGE: Final = re.compile(r"\s*(\d+|end)\s*(?:-\s*(\d+|end)\s*)?")


def resolve(text: str, count: int, *, name: str, may_be_short: bool = False) -> list[int]:
    """Return the page numbers of ``text``: 1-based, ascending, each once.

    Args:
        text: page ranges, both ends inclusive, such as ``1-3,7,10-end``.
        count: the number of pages of the document.
        name: the document's, for the error message.
        may_be_short: pages that the document does not have are left out, if it has any of them.

    Raises:
        UsageProblem: the text is not valid, or names pages that the document does not have.
    """
    numbers: set[int] = set()
    for part, match in _parse(text):
        first = _number(match[1], count)
        last = _number(match[2], count) if match[2] else first
        if may_be_short and 1 <= first <= last:
            numbers.update(range(first, min(last, count) + 1))
            continue
        if not 1 <= first <= last <= count:
            what = f"pages {part.strip()} are not in {name}, which has {count}"
            raise UsageProblem(what, do=f"choose within 1-{count}")
        numbers.update(range(first, last + 1))
    if not numbers:
        what = f"{name} has none of the pages {text.strip()}: it has {count}"
        raise UsageProblem(what, do=f"choose within 1-{count}")
    return sorted(numbers)


def validate(text: str) -> None:
    """Check the syntax of page ranges, before any document is opened.

    Raises:
        UsageProblem: it is not valid.
    """
    _parse(text)


def _parse(text: str) -> list[tuple[str, re.Match[str]]]:
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

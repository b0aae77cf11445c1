"""A document's text from its pages: clean Markdown, and the raw text with the model's tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.ocr.record import WHOLE, PageRecord, Status
from dsk.ocr.tags import without_tags

if TYPE_CHECKING:
    from collections.abc import Iterable


def clean(records: Iterable[PageRecord]) -> str:
    """The pages' text without tags, each page behind its number."""
    return _joined(records, without_the_tags=True)


def raw(records: Iterable[PageRecord]) -> str:
    """The pages' text as the model wrote it, each page behind its number."""
    return _joined(records, without_the_tags=False)


def _joined(records: Iterable[PageRecord], *, without_the_tags: bool) -> str:
    parts: list[str] = []
    for record in sorted(records, key=lambda record: record.page):
        text = without_tags(record.text) if without_the_tags else record.text
        if record.page > 1:
            parts.append(f"\n<!-- page {record.page} -->\n\n")
        parts.append(text if text.endswith("\n") or not text else text + "\n")
        if record.status not in WHOLE:
            parts.append(
                f"\n<!-- page {record.page}: {record.status}, {_harmless(record.reason)} -->\n"
            )
    return "".join(parts)


def joined(pages: list[str]) -> str:
    """The Markdown of a document whose pages, from the first on, all came out whole."""
    records = [
        PageRecord(page=number, status=Status.OK, text=text)
        for number, text in enumerate(pages, start=1)
    ]
    return clean(records)


def _harmless(reason: str) -> str:
    """A reason that cannot end the comment it stands in."""
    return reason.replace("--", "- -").replace(">", "")

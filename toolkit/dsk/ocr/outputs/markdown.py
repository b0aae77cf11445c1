"""Markdown of a document: clean text, and the raw text with the model's tags."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs import markup, tables
from dsk.ocr.outputs.blocks import blocks
from dsk.ocr.schema.page_record import WHOLE, PageRecord, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dsk.ocr.outputs.blocks import LayoutBlock

    HasFigure = Callable[[str], bool]

# LaTeX commands that few renderers know; the model's own scripts replace them the same way.
_REPLACED_COMMANDS: Final = ((r"\coloneqq", ":="), (r"\eqqcolon", "=:"))
_EMPTY_LINES: Final = re.compile(r"\n(?:[ \t]*+\n){2,}+")
_ACTIVE_IN_MARKDOWN: Final = re.compile(r"([\\`*_\[\]<>&#|])")


def clean(
    records: Iterable[PageRecord],
    *,
    parse: Callable[[PageRecord], Iterable[LayoutBlock]] = blocks,
    has_figure: HasFigure = lambda name: True,  # noqa: ARG005
) -> Iterator[str]:
    """Yield a document's Markdown, a part a page.

    A comment with its number precedes each page but the first; a page that is missing or not whole
    is marked.

    Args:
        records: in the order of their pages.
        parse: returns the blocks of a page.
        has_figure: returns True if there is a picture file of that name.
    """
    is_first = True
    for skipped, group in groupby(records, lambda record: record.status is Status.SKIPPED):
        if skipped:
            yield _skipped_pages(group)
            is_first = False
            continue
        for record in group:
            if not (is_first and record.page == 1):
                yield f"\n<!-- page {record.page} -->\n\n"
            is_first = False
            yield page(parse(record), has_figure)
            yield _status_note(record)


def raw(records: Iterable[PageRecord]) -> Iterator[str]:
    """Yield a document's text as the model wrote it, a part a page, each after its number."""
    for skipped, group in groupby(records, lambda record: record.status is Status.SKIPPED):
        if skipped:
            yield _skipped_pages(group)
            continue
        for record in group:
            if record.page > 1:
                yield f"\n<!-- page {record.page} -->\n\n"
            yield _with_line_end(record.text)
            if record.status not in WHOLE:
                reason = _for_comment(record.reason)
                yield f"\n<!-- page {record.page}: {record.status}, {reason} -->\n"


def from_answers(answers: list[str]) -> str:
    """Return the Markdown of a document whose pages all came out whole."""
    return "".join(
        clean(
            PageRecord(page=number, status=Status.OK, text=text)
            for number, text in enumerate(answers, start=1)
        )
    )


def page(parts: Iterable[LayoutBlock], has_figure: HasFigure) -> str:
    """Return a page's Markdown: its blocks' texts without tags, and links to its pictures."""
    written: list[str] = []
    # Removing a tag may join two harmless texts to one that is active, such as "<scr" and "ipt>":
    # texts are joined first, and cleaned afterwards.
    pending: list[str] = []
    last_character = "\n"
    for block in parts:
        text = block.text
        if block.is_figure:
            written += [block_text("".join(pending)), _pictures(block, has_figure)]
            pending, last_character = [], "\n"
        if block.label and last_character == "\n":
            # A tag on a line of its own takes the line with it.
            text = text.removeprefix("\n")
        pending.append(text)
        last_character = text[-1:] or last_character
    return tidy("".join([*written, block_text("".join(pending))]))


def block_text(text: str) -> str:
    """Return the text of one or several blocks as harmless Markdown."""
    for command, replacement in _REPLACED_COMMANDS:
        text = text.replace(command, replacement)
    parts: list[str] = []
    for is_code, part in markup.parts(text):
        if is_code:
            parts.append(part)
            continue
        for piece in tables.split(part):
            if isinstance(piece, str):
                parts.append(markup.prose(piece))
            else:
                parts.append(f"\n\n{tables.markdown(piece)}\n\n")
    return "".join(parts)


def tidy(text: str) -> str:
    """Reduce a page's whitespace: no two empty lines in a row, none at the ends, a newline last."""
    return _with_line_end(_EMPTY_LINES.sub("\n\n", text.strip()))


def _pictures(block: LayoutBlock, has_figure: HasFigure) -> str:
    links = [f"![]({name})\n\n" for name in block.figures if name and has_figure(name)]
    missing = len(block.figures) - len(links) if block.boxes else 1
    return "\n\n" + "".join(links) + "<!-- a picture that was not cut out -->\n\n" * missing


def _skipped_pages(records: Iterator[PageRecord]) -> str:
    first = last = next(records).page
    for record in records:
        last = record.page
    pages = f"page {first}" if first == last else f"pages {first} to {last}"
    return f"\n<!-- {pages}: not asked for -->\n"


def _status_note(record: PageRecord) -> str:
    """Return a note on a page that did not simply come out well: visible if it lacks text."""
    if record.status is Status.OK:
        return ""
    if record.status in WHOLE:
        reason = f", {_for_comment(record.reason)}" if record.reason else ""
        return f"\n<!-- page {record.page}: {record.status}{reason} -->\n"
    reason = f", {escaped}" if (escaped := _escaped(record.reason)) else ""
    state = "is not whole" if record.text.strip() else "is missing"
    return f"\n> **Page {record.page} {state}:** {record.status}{reason}\n"


def _escaped(reason: str) -> str:
    """Return a reason on one line, with everything escaped that Markdown would act on."""
    return _ACTIVE_IN_MARKDOWN.sub(r"\\\1", " ".join(reason.split()))


def _for_comment(reason: str) -> str:
    """Return a reason that cannot end the HTML comment around it."""
    return " ".join(reason.replace("--", "- -").replace(">", "").split())


def _with_line_end(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"

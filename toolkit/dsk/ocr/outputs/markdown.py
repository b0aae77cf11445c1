"""A document's text from its pages: clean Markdown, and the raw text with the model's tags."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs import markup, tables
from dsk.ocr.outputs.blocks import blocks
from dsk.ocr.schema.limits import DEFAULT_LIMITS
from dsk.ocr.schema.page_record import WHOLE, PageRecord, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dsk.ocr.outputs.blocks import Block

    Kept = Callable[[str], bool]

_SPELLINGS: Final = ((r"\coloneqq", ":="), (r"\eqqcolon", "=:"))
"""Commands that few renderers of formulas know, as the model's own scripts replace them."""
_EMPTY_LINES: Final = re.compile(r"\n(?:[ \t]*+\n){2,}+")
_ACTIVE_IN_MARKDOWN: Final = re.compile(r"([\\`*_\[\]<>&#|])")


def clean(
    records: Iterable[PageRecord],
    *,
    figures: Kept = lambda name: True,  # noqa: ARG005
    most_boxes: int = DEFAULT_LIMITS.max_boxes,
) -> Iterator[str]:
    """A document's Markdown, a part a page: each page behind its number, what is missing said.

    Args:
        records: in the order of their pages.
        figures: whether there is a picture's file of that name.
        most_boxes: boxes taken from a page.
    """
    first = True
    for skipped, group in groupby(records, lambda record: record.status is Status.SKIPPED):
        if skipped:
            yield _skipped(group)
            first = False
            continue
        for record in group:
            if not (first and record.page == 1):
                yield f"\n<!-- page {record.page} -->\n\n"
            first = False
            yield page(blocks(record, most_boxes=most_boxes), figures)
            yield _state(record)


def raw(records: Iterable[PageRecord]) -> Iterator[str]:
    """A document's text as the model wrote it, a part a page, each page behind its number."""
    for skipped, group in groupby(records, lambda record: record.status is Status.SKIPPED):
        if skipped:
            yield _skipped(group)
            continue
        for record in group:
            if record.page > 1:
                yield f"\n<!-- page {record.page} -->\n\n"
            yield _ended(record.text)
            if record.status not in WHOLE:
                why = _uncommented(record.reason)
                yield f"\n<!-- page {record.page}: {record.status}, {why} -->\n"


def joined(pages: list[str]) -> str:
    """The Markdown of a document whose pages, from the first on, all came out whole."""
    return "".join(
        clean(
            PageRecord(page=number, status=Status.OK, text=text)
            for number, text in enumerate(pages, start=1)
        )
    )


def page(parts: Iterable[Block], figures: Kept) -> str:
    """A page's Markdown: its blocks' texts without their tags, links to its pictures."""
    written: list[str] = []
    # What a tag stood between may be active once the tag is gone: texts are joined, then cleaned.
    together: list[str] = []
    end = "\n"
    for block in parts:
        follows = block.text
        if block.is_figure:
            written += [block_text("".join(together)), _pictures(block, figures)]
            together, end = [], "\n"
        if block.label and end == "\n":
            # A tag that has a line to itself takes the line with it.
            follows = follows.removeprefix("\n")
        together.append(follows)
        end = follows[-1:] or end
    return tidy("".join([*written, block_text("".join(together))]))


def block_text(text: str) -> str:
    """What a block says, or several one after the other, as harmless Markdown."""
    for command, instead in _SPELLINGS:
        text = text.replace(command, instead)
    parts: list[str] = []
    for is_code, part in markup.parts(text):
        if is_code:
            parts.append(part)
            continue
        for one in tables.found(part):
            if isinstance(one, str):
                parts.append(markup.prose(one))
            else:
                parts.append(f"\n\n{tables.markdown(one)}\n\n")
    return "".join(parts)


def tidy(text: str) -> str:
    """A page's whitespace: at most one empty line at a time, none at its ends, a newline last."""
    return _ended(_EMPTY_LINES.sub("\n\n", text.strip()))


def _pictures(block: Block, figures: Kept) -> str:
    links = [f"![]({name})\n\n" for name in block.figures if name and figures(name)]
    gone = len(block.figures) - len(links) if block.boxes else 1
    return "\n\n" + "".join(links) + "<!-- a picture that was not cut out -->\n\n" * gone


def _skipped(records: Iterator[PageRecord]) -> str:
    first = last = next(records).page
    for record in records:
        last = record.page
    what = f"page {first}" if first == last else f"pages {first} to {last}"
    return f"\n<!-- {what}: not asked for -->\n"


def _state(record: PageRecord) -> str:
    """How a page ended, where not simply well; where something is missing, for all to see."""
    why = _escaped(record.reason)
    if record.status in WHOLE:
        said = record.status is not Status.OK
        reason = f", {_uncommented(record.reason)}" if record.reason else ""
        return f"\n<!-- page {record.page}: {record.status}{reason} -->\n" if said else ""
    what = "is not whole" if record.text.strip() else "is missing"
    return f"\n> **Page {record.page} {what}:** {record.status}{f', {why}' if why else ''}\n"


def _escaped(reason: str) -> str:
    """A reason on one line, with nothing in it for Markdown."""
    return _ACTIVE_IN_MARKDOWN.sub(r"\\\1", " ".join(reason.split()))


def _uncommented(reason: str) -> str:
    """A reason that cannot end the comment it stands in."""
    return " ".join(reason.replace("--", "- -").replace(">", "").split())


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"

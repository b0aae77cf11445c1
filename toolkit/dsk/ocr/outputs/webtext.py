"""A block's text as HTML: everything that the model wrote is escaped, then formatted."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs import markup, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADING: Final = re.compile(r"(#{1,6})[ \t]++(.*)")
_CENTRED: Final = re.compile(r"</?center>", re.IGNORECASE)
# Matches escaped text. No other tag may be inside, so the time is linear.
_FORMAT: Final = re.compile(r"&lt;(b|em|i|s|strong|sub|sup|u)&gt;([^&\n]{0,300}+)&lt;/\1&gt;")
_BREAK: Final = re.compile(r"&lt;br ?/?&gt;")


def html(text: str) -> str:
    """Return a text with its headings, tables and code formatted."""
    return "".join(_parts(_CENTRED.sub("", text)))


def _parts(text: str) -> Iterator[str]:
    for is_code, part in markup.parts(text):
        if is_code:
            yield f"<pre>{escape(part.strip())}</pre>"
            continue
        for piece in tables.split(part):
            yield _prose(piece) if isinstance(piece, str) else _table(piece)


def _prose(text: str) -> str:
    paragraphs: list[str] = []
    lines: list[str] = []

    def end_paragraph() -> None:
        if lines:
            paragraphs.append(f"<p>{_inline(chr(10).join(lines))}</p>")
        lines.clear()

    for line in text.split("\n"):
        heading = _HEADING.fullmatch(line)
        if heading or not line.strip():
            end_paragraph()
        if heading:
            paragraphs.append(f'<p class="h{len(heading[1])}">{_inline(heading[2])}</p>')
        elif line.strip():
            lines.append(line)
    end_paragraph()
    return "".join(paragraphs)


def _table(table: tables.Table) -> str:
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return f'<div class="wide"><table>{rows}</table></div>'


def _cell(cell: tables.Cell) -> str:
    name = "th" if cell.is_heading else "td"
    spans = "".join(
        f' {attribute}="{count}"'
        for attribute, count in (("colspan", cell.colspan), ("rowspan", cell.rowspan))
        if count > 1
    )
    return f"<{name}{spans}>{_inline(cell.text.strip())}</{name}>"


def _inline(text: str) -> str:
    return _BREAK.sub("<br>", _FORMAT.sub(r"<\1>\2</\1>", escape(text)))

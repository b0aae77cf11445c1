"""A block's text for a web page: all that the model wrote is escaped, and then set out."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs import markup, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADING: Final = re.compile(r"(#{1,6})[ \t]++(.*)")
_CENTRED: Final = re.compile(r"</?center>", re.IGNORECASE)
# As the escaping leaves it; what is within has no other tag, so the time is linear.
_FORMAT: Final = re.compile(r"&lt;(b|em|i|s|strong|sub|sup|u)&gt;([^&\n]{0,300}+)&lt;/\1&gt;")
_BREAK: Final = re.compile(r"&lt;br ?/?&gt;")


def html(text: str) -> str:
    """A text with its headings, tables and code as such."""
    return "".join(_parts(_CENTRED.sub("", text)))


def _parts(text: str) -> Iterator[str]:
    for is_code, part in markup.parts(text):
        if is_code:
            yield f"<pre>{escape(part.strip())}</pre>"
            continue
        for one in tables.found(part):
            yield _prose(one) if isinstance(one, str) else _table(one)


def _prose(text: str) -> str:
    written: list[str] = []
    lines: list[str] = []

    def end() -> None:
        if lines:
            written.append(f"<p>{_inline(chr(10).join(lines))}</p>")
        lines.clear()

    for line in text.split("\n"):
        heading = _HEADING.fullmatch(line)
        if heading or not line.strip():
            end()
        if heading:
            written.append(f'<p class="h{len(heading[1])}">{_inline(heading[2])}</p>')
        elif line.strip():
            lines.append(line)
    end()
    return "".join(written)


def _table(table: tables.Table) -> str:
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return f'<div class="wide"><table>{rows}</table></div>'


def _cell(cell: tables.Cell) -> str:
    name = "th" if cell.heads else "td"
    spans = "".join(
        f' {which}="{count}"'
        for which, count in (("colspan", cell.colspan), ("rowspan", cell.rowspan))
        if count > 1
    )
    return f"<{name}{spans}>{_inline(cell.text.strip())}</{name}>"


def _inline(text: str) -> str:
    return _BREAK.sub("<br>", _FORMAT.sub(r"<\1>\2</\1>", escape(text)))

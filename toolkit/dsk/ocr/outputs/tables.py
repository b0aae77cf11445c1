"""The model's HTML tables, taken apart and made anew: Markdown where simple, else bare HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs import markup

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = re.compile(
    r"<(/?)(table|thead|tbody|tfoot|tr|td|th)\b([^<>]{0,200}+)>", re.IGNORECASE | re.ASCII
)
_SPAN: Final = re.compile(r"""\b(colspan|rowspan)\s?=\s?["']?([0-9]{1,3})\b""", re.ASCII)
_WIDEST: Final = 200
"""Characters of a cell in a Markdown table; with longer ones its source cannot be read."""


@dataclass(kw_only=True)
class Cell:
    """A cell: its text as the model wrote it, in the pieces that tags within it left."""

    heads: bool = False
    colspan: int = 1
    rowspan: int = 1
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The pieces in one."""
        return "".join(self.pieces)


@dataclass(kw_only=True)
class Table:
    """Rows of cells."""

    rows: list[list[Cell]] = field(default_factory=list)


def found(text: str) -> Iterator[str | Table]:
    """The text and the tables in it, in their order. A table that is not closed ends with the text.

    Text between cells is taken into a cell of its own: nothing is lost.
    """
    begin = 0
    table: Table | None = None
    cell: Cell | None = None

    for piece in _PIECE.finditer(text):
        closes, name = bool(piece[1]), piece[2].lower()
        if table is None:
            if name != "table" or closes:
                continue
            yield text[begin : piece.start()]
            table, cell, begin = Table(), None, piece.end()
            continue
        _take(table, cell, text[begin : piece.start()])
        begin = piece.end()
        if name in {"td", "th"}:
            cell = None if closes else _cell(piece)
            if cell is not None:
                _row(table).append(cell)
        elif name == "tr":
            cell = None
            if not closes:
                table.rows.append([])
        elif name == "table" and closes:
            yield _whole(table)
            table = None
    if table is None:
        yield text[begin:]
    else:
        _take(table, cell, text[begin:])
        yield _whole(table)


def _take(table: Table, cell: Cell | None, text: str) -> None:
    if cell is not None:
        cell.pieces.append(text)
    elif text.strip():
        _row(table).append(Cell(pieces=[text]))


def _row(table: Table) -> list[Cell]:
    if not table.rows:
        table.rows.append([])
    return table.rows[-1]


def _cell(piece: re.Match[str]) -> Cell:
    spans = {name.lower(): max(1, int(count)) for name, count in _SPAN.findall(piece[3].lower())}
    return Cell(
        heads=piece[2].lower() == "th",
        colspan=spans.get("colspan", 1),
        rowspan=spans.get("rowspan", 1),
    )


def _whole(table: Table) -> Table:
    return Table(rows=[row for row in table.rows if row])


def markdown(table: Table) -> str:
    """A table's source for Markdown."""
    return _piped(table) if _is_simple(table) else html(table)


def html(table: Table) -> str:
    """A table as HTML: no attribute but the spans, and no empty line, which would end it."""
    rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>\n" for row in table.rows)
    return f"<table>\n{rows}</table>" if rows else ""


def _html_cell(cell: Cell) -> str:
    name = "th" if cell.heads else "td"
    spans = "".join(
        f' {which}="{count}"'
        for which, count in (("colspan", cell.colspan), ("rowspan", cell.rowspan))
        if count > 1
    )
    return f"<{name}{spans}>{markup.cell(cell.text)}</{name}>"


def _is_simple(table: Table) -> bool:
    """Whether Markdown can say it: as many cells in each row, each of one short line."""
    cells = [cell for row in table.rows for cell in row]
    return (
        len({len(row) for row in table.rows}) == 1
        and all(cell.colspan == cell.rowspan == 1 for cell in cells)
        and all(_is_short(cell.text.strip()) for cell in cells)
    )


def _is_short(text: str) -> bool:
    # A pipe behind a backslash cannot be escaped so that all readers agree.
    return len(text) <= _WIDEST and "\n" not in text and r"\|" not in text


def _piped(table: Table) -> str:
    lines = [
        [markup.prose(cell.text.strip()).replace("|", r"\|") for cell in row] for row in table.rows
    ]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""Rebuild the model's HTML tables: as Markdown if they are simple, else as bare HTML."""

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
# Columns that a span may reach: a table of a page has fewer, and spans cost a model three digits.
_MAX_COLUMNS: Final = 200
# Characters of a cell in a Markdown table, whose source longer ones would make unreadable.
_MAX_CELL: Final = 200


@dataclass(kw_only=True)
class Cell:
    """A cell; its text as the model wrote it is in pieces, between the tags inside it."""

    is_heading: bool = False
    colspan: int = 1
    rowspan: int = 1
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


@dataclass(kw_only=True)
class Table:
    """Rows of cells."""

    rows: list[list[Cell]] = field(default_factory=list)


def split(text: str) -> Iterator[str | Table]:
    """Yield the tables of a text and the texts between them, in order.

    A table that is not closed ends with the text. Text between cells gets a cell of its own, so
    that nothing is lost.
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
        _append_text(table, cell, text[begin : piece.start()])
        begin = piece.end()
        # Closing tags may be missing: a cell ends where the next one begins.
        if name in {"td", "th"}:
            cell = None if closes else _cell(piece)
            if cell is not None:
                _last_row(table).append(cell)
        elif name == "tr":
            cell = None
            if not closes:
                table.rows.append([])
        elif name == "table" and closes:
            yield _without_empty_rows(table)
            table = None
    if table is None:
        yield text[begin:]
    else:
        _append_text(table, cell, text[begin:])
        yield _without_empty_rows(table)


def _append_text(table: Table, cell: Cell | None, text: str) -> None:
    if cell is not None:
        cell.pieces.append(text)
    elif text.strip():
        _last_row(table).append(Cell(pieces=[text]))


def _last_row(table: Table) -> list[Cell]:
    if not table.rows:
        table.rows.append([])
    return table.rows[-1]


def _cell(piece: re.Match[str]) -> Cell:
    spans = {name.lower(): max(1, int(count)) for name, count in _SPAN.findall(piece[3].lower())}
    return Cell(
        is_heading=piece[2].lower() == "th",
        colspan=spans.get("colspan", 1),
        rowspan=spans.get("rowspan", 1),
    )


def _without_empty_rows(table: Table) -> Table:
    return Table(rows=[row for row in table.rows if row])


def markdown(table: Table) -> str:
    """Return a table for Markdown, as HTML if Markdown cannot express it."""
    return _pipe_table(table) if _is_simple(table) else html(table)


def grid(table: Table) -> list[list[str]]:
    """Return a table's texts as rows of equal length.

    A cell's text is where the cell begins; the other places that it spans are empty.
    """
    rows: list[list[str]] = []
    # Rows that a cell from above still takes of a column.
    taken: dict[int, int] = {}
    for row in table.rows:
        texts: list[str] = []
        below: dict[int, int] = {column: count - 1 for column, count in taken.items() if count > 1}
        for cell in row:
            while len(texts) in taken:
                texts.append("")
            begin = len(texts)
            span = cell.colspan if begin + cell.colspan <= _MAX_COLUMNS else 1
            texts += [" ".join(cell.text.split()), *[""] * (span - 1)]
            if cell.rowspan > 1:
                below |= dict.fromkeys(range(begin, begin + span), cell.rowspan - 1)
        rows.append(texts)
        taken = below
    width = max(map(len, rows), default=0)
    return [texts + [""] * (width - len(texts)) for texts in rows]


def html(table: Table) -> str:
    """Return a table as HTML, without attributes but spans."""
    # No empty line either: in Markdown it would end the HTML.
    rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>\n" for row in table.rows)
    return f"<table>\n{rows}</table>" if rows else ""


def _html_cell(cell: Cell) -> str:
    name = "th" if cell.is_heading else "td"
    spans = "".join(
        f' {attribute}="{count}"'
        for attribute, count in (("colspan", cell.colspan), ("rowspan", cell.rowspan))
        if count > 1
    )
    return f"<{name}{spans}>{markup.cell(cell.text)}</{name}>"


def _is_simple(table: Table) -> bool:
    """Return True if all rows have as many cells, each of one short line and without spans."""
    cells = [cell for row in table.rows for cell in row]
    return (
        len({len(row) for row in table.rows}) == 1
        and all(cell.colspan == cell.rowspan == 1 for cell in cells)
        and all(_is_short(cell.text.strip()) for cell in cells)
    )


def _is_short(text: str) -> bool:
    # Markdown readers disagree on how to escape a pipe after a backslash.
    return len(text) <= _MAX_CELL and "\n" not in text and r"\|" not in text


def _pipe_table(table: Table) -> str:
    lines = [
        [markup.prose(cell.text.strip()).replace("|", r"\|") for cell in row] for row in table.rows
    ]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""``csv``: each table as a file of comma-separated values."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.base import OutputFile, OutputFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.outputs.tables import Table
    from dsk.ocr.schema.page_record import PageRecord

_FOLDER: Final = "tables"
_OURS: Final = re.compile(r"p[0-9]{4,}_[0-9]{2,}\.csv")
_FORMATTING: Final = re.compile(r"</?(?:b|center|em|i|s|strong|sub|sup|u)>", re.IGNORECASE)
_BREAK: Final = re.compile(r"<br ?/?>", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9.,' \u00a0\u2009]*+%?")


def write(context: OutputContext) -> None:
    """Write the tables of every page; those of an earlier run that are no longer there are removed.

    Raises:
        UsageProblem: the folder cannot be written to, or is a link.
    """
    written: set[str] = set()
    for record in context.records():
        for number, table in enumerate(_tables(context, record), start=1):
            name = f"{_FOLDER}/p{record.page:04d}_{number:02d}.csv"
            context.write_text(name, [_text(table)])
            written.add(PurePath(name).name)
    context.remove_stale(_FOLDER, _OURS, written)


def _tables(context: OutputContext, record: PageRecord) -> Iterator[Table]:
    from dsk.ocr.outputs import markup, tables

    for block in context.blocks(record):
        for is_code, part in markup.parts(block.text):
            if not is_code:
                found = tables.split(part)
                yield from (piece for piece in found if not isinstance(piece, str) and piece.rows)


def _text(table: Table) -> str:
    import csv
    import io

    from dsk.ocr.outputs import tables

    stream = io.StringIO()
    csv.writer(stream).writerows(
        [_harmless(_FORMATTING.sub("", _BREAK.sub(" ", text))) for text in row]
        for row in tables.grid(table)
    )
    return stream.getvalue()


def _harmless(text: str) -> str:
    """Return a cell that no spreadsheet runs: a page may have any formula printed on it."""
    text = text.strip()
    acts = text[:1] in {"=", "+", "-", "@"} and not _NUMBER.fullmatch(text)
    return f"'{text}" if acts and text not in {"-", "+"} else text


FORMAT: Final = OutputFormat(
    name="csv",
    order=60,
    files=(
        OutputFile(
            name=f"{_FOLDER}/p0007_02.csv",
            content="the second table of page 7; a cell that a spreadsheet would take for a "
            "formula begins with an apostrophe",
        ),
    ),
    write=write,
)

"""Tables as CSV: spans, formatting, formulas, and files of earlier runs."""

from __future__ import annotations

import csv
import time
from typing import TYPE_CHECKING

import pytest
from tests.unit.ocr.outputs.conftest import context, records, tag

from dsk.errors import UsageProblem
from dsk.ocr.outputs.registry import parse
from dsk.ocr.outputs.writer import write

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.run_plan import Document

SPANS = (
    "<table><tr><th rowspan=2>name</th><th colspan=2>size</th></tr><tr><td>w</td><td>h</td></tr>"
    "<tr><td>a, b</td><td>H<sub>2</sub>O</td><td>1<br>2</td></tr></table>"
)


def written(document: Document, *texts: str) -> dict[str, list[list[str]]]:
    write(context(document, records(*texts)), parse("csv"))
    folder = document.folder / "tables"
    result = {}
    for file in sorted(folder.iterdir()) if folder.exists() else []:
        with file.open(encoding="utf-8", newline="") as stream:
            result[file.name] = list(csv.reader(stream))
    return result


def rows(document: Document, *cells: str) -> list[str]:
    table = "<table><tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr></table>"
    return written(document, table)["p0001_01.csv"][0]


def test_spans_leave_empty_places(document: Document) -> None:
    assert written(document, f"{tag('table', (1, 2, 3, 4))}\n{SPANS}") == {
        "p0001_01.csv": [["name", "size", ""], ["", "w", "h"], ["a, b", "H2O", "1 2"]]
    }


def test_each_table_has_a_file_and_code_has_none(document: Document) -> None:
    one = "<table><tr><td>1</td></tr></table>"
    code = f"```\n{one}\n```"
    assert list(written(document, f"{one} and {one}", f"{code}\n\n{one}")) == [
        "p0001_01.csv",
        "p0001_02.csv",
        "p0002_01.csv",
    ]


def test_what_a_spreadsheet_would_run_is_text_and_numbers_stay_numbers(document: Document) -> None:
    formulas = ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "<b>=HYPERLINK(1)</b>", " =1")
    assert all(cell.startswith("'") for cell in rows(document, *formulas))
    numbers = ("-5", "+3,2 %", "-1.234.567,89", "-", "3 - 4", "+7'000", "12%")
    assert rows(document, *numbers) == list(numbers)


def test_tables_of_an_earlier_run_go_and_what_is_not_ours_stays(document: Document) -> None:
    written(document, SPANS)
    (document.folder / "tables" / "mine.csv").write_text("x")
    assert list(written(document, "none")) == ["mine.csv"]


def test_no_table_follows_a_link_out_of_the_folder(document: Document, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    document.folder.mkdir(parents=True)
    (document.folder / "tables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageProblem, match="is a link"):
        written(document, SPANS)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_spans_that_are_made_to_cost_cost_little(document: Document) -> None:
    cells = "<td colspan=999 rowspan=999>x</td>" * 100
    began = time.process_time()
    made = written(document, "<table>" + f"<tr>{cells}</tr>" * 20 + "</table>")["p0001_01.csv"]
    assert time.process_time() - began < 5
    assert sum(cell == "x" for row in made for cell in row) == 2000

"""`dsk status`: how far a run is, or how it ended."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsk import console

if TYPE_CHECKING:
    from dsk.ocr.results.job_file import Progress


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(out: Path, *, as_json: bool) -> None:
    """Say how many pages of the run into OUT ended in which state, and how many are left.

    It may be asked while the run goes on.
    """
    from dsk.ocr.results import job_file

    found = job_file.read(out)
    progress = job_file.progress(out, found)
    if as_json:
        documents = [
            {"name": one.name, "pages": dict(sorted(one.states.items())), "left": one.left}
            for one in progress
        ]
        said = {"documents": documents, "rejected": list(found.rejected)}
        console.out().print_json(json.dumps(said))
        return
    _show(progress, found.rejected)


def _show(progress: list[Progress], rejected: tuple[str, ...]) -> None:
    from rich.table import Table

    states = sorted({state for one in progress for state in one.states})
    table = Table("document", *states, "left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in progress:
        counts = (str(one.states[state] or "") for state in states)
        table.add_row(one.name, *counts, str(one.left or ""))
    if len(progress) > 1:
        whole: Counter[str] = sum((one.states for one in progress), Counter())
        left = sum(one.left for one in progress)
        table.add_row("all", *(str(whole[state]) for state in states), str(left))
    console.out().print(table)
    for reason in rejected:
        console.warn(f"not read: {reason}")

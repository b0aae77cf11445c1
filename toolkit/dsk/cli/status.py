"""`dsk status`: the progress of a run, or its result."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.filenames import printable

if TYPE_CHECKING:
    from dsk.ocr.results.job_file import DocumentProgress


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(out: Path, *, as_json: bool) -> None:
    """Count the pages of the run into OUT by their states, and those that are left.

    It works while the run is going on, too.
    """
    from dsk.ocr.results import job_file

    job = job_file.read(out)
    progress = job_file.progress(out, job)
    if as_json:
        documents = [
            {
                "name": document.name,
                "pages": dict(sorted(document.states.items())),
                "left": document.left,
            }
            for document in progress
        ]
        model = job.model and job.model.model_dump(exclude_defaults=True)
        status = {"model": model, "documents": documents, "rejected": list(job.rejected)}
        console.echo_json(json.dumps(status, indent=2, ensure_ascii=False))
        return
    if job.model:
        console.echo(f"read with {printable(str(job.model))}")
    _show(progress, job.rejected)


def _show(progress: list[DocumentProgress], rejected: tuple[str, ...]) -> None:
    from rich.table import Table

    states = sorted({state for document in progress for state in document.states})
    table = Table("document", *states, "left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for document in progress:
        counts = (str(document.states[state] or "") for state in states)
        table.add_row(printable(document.name), *counts, str(document.left or ""))
    if len(progress) > 1:
        total: Counter[str] = sum((document.states for document in progress), Counter())
        left = sum(document.left for document in progress)
        table.add_row("all", *(str(total[state]) for state in states), str(left))
    console.out().print(table)
    for reason in rejected:
        console.warn(f"not read: {printable(reason)}")

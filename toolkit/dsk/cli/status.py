"""`dsk status`: the progress of a run, or its result."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.filenames import printable
from dsk.ocr.schema import run_files
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.shard import Shard

if TYPE_CHECKING:
    from dsk.ocr.results.job_file import DocumentProgress, JobFile


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(out: Path, *, as_json: bool) -> None:
    """Count the pages of the run into OUT by their states, and those that are left.

    It works while the run is going on, too, and over the shards of a run before they are merged.
    """
    progress, job, notes = _progress(out)
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
    for note in notes:
        console.echo(note)


def _progress(out: Path) -> tuple[list[DocumentProgress], JobFile, list[str]]:
    """Return the progress of a run, or of all shards in a folder, and a line on each shard."""
    from dsk.ocr.results import job_file
    from dsk.ocr.run import shards

    found = shards.found_in(out)
    # Once the shards are merged, the folder has a run of its own.
    if not found or (out / run_files.JOB).exists():
        job = job_file.read(out)
        return job_file.progress(out, job), job, []
    jobs = {shard: job_file.read(folder) for shard, folder in found.items()}
    parts: dict[tuple[str, str, str], list[DocumentProgress]] = {}
    skipped: dict[tuple[str, str, str], int] = {}
    notes = []
    for shard, job in jobs.items():
        progress = job_file.progress(found[shard], job)
        left = sum(document.left for document in progress)
        pages = f"{left} page{'s' if left > 1 else ''} left"
        notes.append(f"shard {shard}: {pages if left else 'read'}")
        for planned, part in zip(job.documents, progress, strict=True):
            key = planned.name, planned.folder, planned.sha256
            parts.setdefault(key, []).append(part)
            skipped[key] = skipped.get(key, planned.page_count) - len(planned.pages)
    count = next(iter(found)).count
    notes += [
        f"shard {number}/{count}: not begun"
        for number in range(1, count + 1)
        if Shard(number=number, count=count) not in found
    ]
    # Each shard counts the pages of the others as skipped.
    documents = []
    for key, shares in parts.items():
        states: Counter[str] = sum((share.states for share in shares), Counter())
        states[Status.SKIPPED.value] = skipped[key]
        left = sum(share.left for share in shares)
        documents.append(replace(shares[0], states=+states, left=left))
    return documents, next(iter(jobs.values())), notes


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

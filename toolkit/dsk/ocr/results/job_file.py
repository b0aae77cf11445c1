"""`job.json`: what a run set out to do, beside its outputs; and how far it has come since."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import write_atomically
from dsk.frozen import Frozen
from dsk.ocr.results import ledger, manifest
from dsk.ocr.schema import run_files
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import RunPlan


class PlannedDocument(Frozen):
    """A document, and where its outputs go, below the output folder."""

    name: str
    folder: str
    sha256: str
    page_count: int
    pages: tuple[int, ...]


class JobFile(Frozen):
    """A run; ``settings`` is the hash that its ledgers' lines go by."""

    settings: str
    documents: tuple[PlannedDocument, ...]
    rejected: tuple[str, ...] = ()
    """Why each input that is not read is not."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a document is.

    Args:
        states: how many of the pages that were asked for ended in each state.
        left: how many have none yet.
    """

    name: str
    states: Counter[str]
    left: int


def write(plan: RunPlan, out: Path) -> None:
    """Write down what a job is about to do."""
    found = JobFile(
        settings=manifest.settings_hash(plan),
        documents=tuple(
            PlannedDocument(
                name=document.name,
                folder=str(document.folder.relative_to(plan.out)),
                sha256=document.sha256,
                page_count=document.page_count,
                pages=tuple(document.pages),
            )
            for document in plan.documents
        ),
        rejected=tuple(one.reason for one in plan.rejected),
    )
    write_atomically(out / run_files.JOB, found.model_dump_json() + "\n")


def read(out: Path) -> JobFile:
    """What the last run into a folder set out to do.

    Raises:
        UsageProblem: there was none, or of another version of dsk.
    """
    try:
        return JobFile.model_validate_json((out / run_files.JOB).read_bytes())
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        what = f"{printable(out)} is not the output folder of a run"
        raise UsageProblem(what, do="name what -o was given") from error


def progress(out: Path, job_file: JobFile) -> list[Progress]:
    """How far each document of a run is; one that is running is not disturbed."""
    found = []
    for document in job_file.documents:
        wanted = {
            ledger.page_key(document.sha256, page, job_file.settings): page
            for page in document.pages
        }
        ended: dict[int, Status] = {}
        folder = out / Path(document.folder)
        if (folder / run_files.LEDGER).is_file():
            for record in ledger.read(folder):
                if record.key in wanted:
                    ended[record.page] = record.status
        states = Counter(status.value for status in ended.values())
        if skipped := document.page_count - len(document.pages):
            states[Status.SKIPPED.value] = skipped
        left = len(document.pages) - len(ended)
        found.append(Progress(name=document.name, states=states, left=left))
    return found

"""`job.json`: the plan of a run in short, which `dsk status` compares with the ledgers."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field, ValidationError

from dsk.control_characters import escaped_in_json
from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import read_regular, write_atomically
from dsk.frozen import Frozen
from dsk.ocr.results import folder_owners, ledger, manifest
from dsk.ocr.schema import run_files
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.run_plan import ModelIdentity

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import RunPlan


# Numbers in a file that somebody else may have written are added up and printed.
_MAX_PAGES: Final = 2**31


def _below(name: str) -> str:
    if not folder_owners.is_below(name):
        reason = "it is not below the output folder"
        raise ValueError(reason)
    return name


class PlannedDocument(Frozen):
    """A document, its pages to read, and its folder below the output folder."""

    name: str
    folder: Annotated[str, AfterValidator(_below)]
    sha256: str
    page_count: Annotated[int, Field(ge=0, le=_MAX_PAGES)]
    pages: tuple[Annotated[int, Field(ge=1, le=_MAX_PAGES)], ...]


class JobFile(Frozen):
    """A run; ``settings`` is the hash in the keys of its ledgers' records."""

    settings: str
    model: ModelIdentity | None = None
    """None in the file of an earlier release."""
    documents: tuple[PlannedDocument, ...]
    rejected: tuple[str, ...] = ()
    """The reason for each input that is not read."""


@dataclass(frozen=True, kw_only=True)
class DocumentProgress:
    """Progress of a document.

    Args:
        name: of its file.
        states: number of its pages in each state.
        left: number of pages that were asked for and have no state yet.
    """

    name: str
    states: Counter[str]
    left: int


def write(plan: RunPlan, out: Path, settings: str | None = None) -> None:
    """Write the file at the beginning of a run.

    Args:
        plan: the run.
        out: its output folder.
        settings: the hash of its settings; by default that of the plan, whose model must be there.
    """
    content = JobFile(
        settings=settings or manifest.settings_hash(plan),
        model=plan.identity,
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
        rejected=tuple(rejected.reason for rejected in plan.rejected),
    )
    write_atomically(out / run_files.JOB, escaped_in_json(content.model_dump_json()) + "\n")


def require_one_model(plan: RunPlan) -> None:
    """Check that a run leaves its output folder with the pages of one model.

    Raises:
        UsageProblem: pages there were read with another model, and the run would keep some.
    """
    try:
        earlier = read(plan.out).model
    except UsageProblem:
        return  # there was no run
    if earlier is None or earlier.is_same_as(plan.identity):
        return
    rewritten = {document.folder for document in plan.documents} if plan.overwrite else set()
    kept = [
        folder
        for name in folder_owners.read(plan.out)
        if (folder := plan.out / name) not in rewritten and ledger.has_records(folder)
    ]
    if not kept:
        return
    what = (
        f"{printable(plan.out)} holds pages that {earlier} has read, "
        f"and this run would read with {plan.identity}"
    )
    do = "name another folder with -o, or read all of its documents again with --overwrite"
    if plan.overwrite:
        do = f"name another folder with -o, or add the documents of {printable(kept[0])}"
        do += f" and {len(kept) - 1} more" if len(kept) > 1 else ""
    raise UsageProblem(what, do=do)


def read(out: Path) -> JobFile:
    """Read the file of the last run into a folder.

    Raises:
        UsageProblem: there was no run, or it was one of another version of dsk.
    """
    try:
        return JobFile.model_validate_json(read_regular(out / run_files.JOB))
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        what = f"{printable(out)} is not the output folder of a run"
        raise UsageProblem(what, do="name the folder that the run was given with -o") from error


def progress(out: Path, job_file: JobFile) -> list[DocumentProgress]:
    """Return the progress of each document, from its ledger; a running run is not disturbed."""
    result = []
    for document in job_file.documents:
        keys = {
            ledger.page_key(document.sha256, page, job_file.settings) for page in document.pages
        }
        # Without a lock: a line that is being written has no valid checksum yet.
        ended: dict[int, Status] = {}
        folder = out / Path(document.folder)
        with contextlib.suppress(OSError):  # there is none yet
            for record in ledger.read(folder):
                if record.key in keys:
                    ended[record.page] = record.status
        states = Counter(status.value for status in ended.values())
        if skipped := document.page_count - len(document.pages):
            states[Status.SKIPPED.value] = skipped
        left = len(document.pages) - len(ended)
        result.append(DocumentProgress(name=document.name, states=states, left=left))
    return result

"""Merge the shards of a run: their pages into one output folder, as if one run had read them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk.control_characters import escaped_in_json
from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import write_atomically
from dsk.ocr.ipc.waiting import readable
from dsk.ocr.pipeline.output_queue import OutputQueue
from dsk.ocr.results import folder_owners, job_file, ledger, manifest
from dsk.ocr.results.document_run import DocumentRun
from dsk.ocr.results.ledger import Ledger, page_key
from dsk.ocr.results.output_folders import OutputFolders
from dsk.ocr.run import output_folder, shards
from dsk.ocr.schema import run_files
from dsk.ocr.schema.engine_config import Placement
from dsk.ocr.schema.page_record import WHOLE

if TYPE_CHECKING:
    from dsk.ocr.results.job_file import JobFile
    from dsk.ocr.results.ledger import LedgerEntry
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import Document, RunPlan
    from dsk.ocr.schema.shard import Shard

# A document's folder that is being copied; it gets its name when it is complete.
_COPY: Final = ".dsk-merge-"


@dataclass(frozen=True, kw_only=True)
class _Merged:
    """A document, and its parts in the folders of the shards that read it, in order of pages."""

    document: Document
    parts: tuple[Document, ...]


class Merge:
    """The shards in an output folder, all of them read, and the run that they make up.

    Args:
        out: the output folder that the shards' runs were given.

    Raises:
        UsageProblem: shards are missing or not read to their end, or they are not of one run.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folders = _require_all(out)
        plans = {shard: shards.read(folder) for shard, folder in self._folders.items()}
        jobs = {shard: job_file.read(folder) for shard, folder in self._folders.items()}
        _require_one_run(plans, jobs)
        _require_read(self._folders, plans, jobs)
        first = next(iter(plans))
        self.count = first.count
        """Number of shards."""
        self._job = jobs[first]
        self._documents = _joined(plans.values(), OutputFolders(out))
        self.plan = plans[first].model_copy(
            update={
                "out": out,
                "documents": [merged.document for merged in self._documents],
                "shard": None,
                "inputs_sha256": "",
                "overwrite": False,
                # Those of one machine; each document's manifest has its own.
                "placement": Placement(),
            }
        )

    def run(self, listener: Listener) -> bool:
        """Merge the shards; return True if every page and every output is whole.

        Killed in between, it goes on where it ended when it is run again.

        Raises:
            UsageProblem: another run writes to one of the folders, or one cannot be written to.
        """
        with contextlib.ExitStack() as held:
            for folder in (self._out, *self._folders.values()):
                held.enter_context(output_folder.locked(folder))
            job_file.require_one_model(self.plan)
            for remains in self._out.glob(f"{_COPY}*"):
                shutil.rmtree(remains)
            folder_owners.write(self.plan.documents, self._out)
            job_file.write(self.plan, self._out, self._job.settings)
            return self._write(listener)

    def _write(self, listener: Listener) -> bool:
        is_whole = True
        with contextlib.ExitStack() as opened, OutputQueue(self.plan, listener) as outputs:
            for merged in self._documents:
                while outputs.is_full:
                    _advance(outputs)
                self._take_over(merged)
                run = DocumentRun(self.plan, merged.document, self._job.settings)
                # Closing twice does no harm.
                opened.callback(run.close)
                for page, entry in run.recorded.items():
                    is_whole &= entry.status in WHOLE
                    listener(run.page_done(page, taken_over=True))
                if run.outputs_are_current:
                    run.close()
                else:
                    outputs.add(run)
                outputs.start_writing()
            while outputs:
                _advance(outputs)
            return is_whole and not outputs.degraded

    def _take_over(self, merged: _Merged) -> None:
        """Bring a document's pages into the output folder: with its outputs, if one shard has all.

        Pages that are there already are replaced by what a shard has read since, unless that is
        less.
        """
        document = merged.document
        if len(merged.parts) == 1 and self._copied(merged.parts[0].folder, document.folder):
            return
        settings = self._job.settings
        numbers = range(1, document.page_count + 1)
        keys = {page: page_key(document.sha256, page, settings) for page in numbers}
        with Ledger(document.folder, keys, beneath=self._out) as target:
            for part in merged.parts:
                with Ledger(part.folder, keys, beneath=part.folder.parent) as source:
                    offsets = [
                        source.entries[page].offset
                        for page in part.pages
                        if _is_better(source.entries[page], target.entries.get(page))
                    ]
                    target.extend(ledger.read_at(part.folder, offsets))
        if manifest.earlier(document, settings):
            return
        # What read the pages is not this machine, perhaps: the shard's own manifest says it.
        content = manifest.earlier(merged.parts[0], settings)
        text = json.dumps({**content, "outputs": None}, indent=2, ensure_ascii=False)
        file = document.folder / run_files.MANIFEST
        write_atomically(file, escaped_in_json(text) + "\n", beneath=self._out)

    def _copied(self, source: Path, target: Path) -> bool:
        """Copy a document's folder as a whole; return False if that cannot be done."""
        # Its files have the folder's name.
        if os.path.lexists(target) or source.name != target.name:
            return False
        with tempfile.TemporaryDirectory(dir=self._out, prefix=_COPY) as above:
            copy = Path(above) / "copy"
            shutil.copytree(source, copy, symlinks=True, copy_function=_link_or_copy)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy.rename(target)
        return True


def _is_better(found: LedgerEntry, there: LedgerEntry | None) -> bool:
    """Return True if a shard's record is to replace the one that is there."""
    if there is None:
        return True
    is_new = found.fingerprint != there.fingerprint
    return is_new and (found.status in WHOLE or there.status not in WHOLE)


def _link_or_copy(source: str, target: str) -> None:
    # Outputs are only ever replaced, so both names may have one file. Ledgers are appended to.
    if Path(source).name != run_files.LEDGER:
        with contextlib.suppress(OSError):
            os.link(source, target, follow_symlinks=False)
            return
    shutil.copy2(source, target)


def _advance(outputs: OutputQueue) -> None:
    """Start writers, wait up to a second for one to end, and close the documents written."""
    outputs.start_writing()
    seconds = max(0.0, min(outputs.deadline - time.monotonic(), 1.0))
    for run in outputs.poll(readable(outputs.channels, seconds)):
        run.close()


def _require_all(out: Path) -> dict[Shard, Path]:
    """Return the folders of all shards, in order."""
    found = shards.found_in(out)
    if not found:
        what = f"there is no shard in {printable(out)}"
        raise UsageProblem(what, do="name the folder that dsk run --shard was given with -o")
    count = next(iter(found)).count
    missing = sorted(set(range(1, count + 1)) - {shard.number for shard in found})
    if missing:
        names = ", ".join(f"{number}/{count}" for number in missing[:5])
        names += f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        what = f"{printable(out)} lacks the shard{'s' if missing[1:] else ''} {names}"
        raise UsageProblem(what, do=f"read it with --shard {missing[0]}/{count}")
    return found


def _require_one_run(plans: dict[Shard, RunPlan], jobs: dict[Shard, JobFile]) -> None:
    """Check that all shards had the same inputs, settings and outputs."""
    first = next(iter(plans))
    for shard, plan in plans.items():
        differing = [
            name
            for name, values in {
                "inputs": (plans[first].inputs_sha256, plan.inputs_sha256),
                "model, stack or settings": (jobs[first].settings, jobs[shard].settings),
                "formats": (_formats(plans[first]), _formats(plan)),
            }.items()
            if values[0] != values[1]
        ]
        if differing:
            what = f"the shards {first} and {shard} differ in their {' and '.join(differing)}"
            do = "read one of them again with the inputs and the options of the other"
            raise UsageProblem(what, do=do)


def _formats(plan: RunPlan) -> Any:
    return plan.formats, plan.compat, plan.limits.max_boxes


def _require_read(
    folders: dict[Shard, Path], plans: dict[Shard, RunPlan], jobs: dict[Shard, JobFile]
) -> None:
    """Check that each page of each shard has its final state, and each document its manifest."""
    for shard, folder in folders.items():
        left = sum(document.left for document in job_file.progress(folder, jobs[shard]))
        if left:
            pages = f"{left} page{'s' if left > 1 else ''}"
            what = f"the shard {shard} has {pages} left to read"
            raise UsageProblem(what, do=f"run it again with --shard {shard}")
        for document in plans[shard].documents:
            if not manifest.earlier(document, jobs[shard].settings):
                what = f"the shard {shard} ended before the files of {document.name} were written"
                raise UsageProblem(what, do=f"run it again with --shard {shard}")


def _joined(plans: Any, folders: OutputFolders) -> list[_Merged]:
    """Join the parts of documents that lie in several shards."""
    grouped: list[list[tuple[RunPlan, Document]]] = []
    for plan in plans:
        for document in plan.documents:
            before = grouped[-1][-1][1] if grouped else None
            # Two files of the same content may follow each other: the second begins anew.
            if (
                before is not None
                and before.sha256 == document.sha256
                and before.pages[-1] < document.pages[0]
            ):
                grouped[-1].append((plan, document))
            else:
                grouped.append([(plan, document)])
    merged = []
    for group in grouped:
        plan, first = group[0]
        parts = tuple(document for _, document in group)
        names = first.folder.relative_to(plan.out).parts
        update = {
            "folder": folders.allocate(names, first.path, first.sha256),
            "pages": [page for part in parts for page in part.pages],
        }
        merged.append(_Merged(document=first.model_copy(update=update), parts=parts))
    return merged

"""The run of one document: its ledger, its manifest, and the pages that remain to be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from dsk.control_characters import escaped_in_json
from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import remove_unfinished, write_atomically
from dsk.ocr.results import ledger, manifest
from dsk.ocr.results.ledger import Ledger, page_key
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import PageDone
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dsk.ocr.engines.worker import EngineReady
    from dsk.ocr.results.ledger import LedgerEntry
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import Document, RunPlan

# Limits that a page of that state may have met. Those that the settings' hash contains are left
# out: with another value of theirs every page is read again.
_LIMITS_MET: Final = {
    Status.REFUSED: ("max_image_pixels",),
    Status.TIMED_OUT: ("render_seconds", "read_seconds"),
}


class DocumentRun:
    """A document while it is read.

    Pages that an earlier run read with the same settings are kept, unless the plan overwrites them.

    Args:
        settings: the hash of everything but the input that the pages' results depend on.

    Raises:
        UsageProblem: the document's folder is not writable, or another run has locked it.
    """

    def __init__(self, plan: RunPlan, document: Document, settings: str) -> None:
        self.document = document
        self.unpaged = document.model_copy(update={"pages": []})
        """The document without its list of pages, for tasks of one page each."""
        self._plan = plan
        self._settings = settings
        _require_folder(plan.out)
        # Keys of all pages, also those not asked for: outputs include what earlier runs read.
        numbers = range(1, document.page_count + 1)
        keys = {page: page_key(document.sha256, page, settings) for page in numbers}
        self._ledger = Ledger(document.folder, keys, overwrite=plan.overwrite, beneath=plan.out)
        # The ledger is locked: temporary files are those of a run that crashed.
        remove_unfinished(document.folder)
        entries = self._ledger.entries
        self._taken_over = {
            page: entries[page]
            for page in document.pages
            if page in entries and self._is_final(entries[page])
        }
        self._done = set(self._taken_over)
        if plan.overwrite:
            (document.folder / run_files.MANIFEST).unlink(missing_ok=True)
        self._manifest = manifest.earlier(document, settings)

    @property
    def taken_over(self) -> dict[int, LedgerEntry]:
        """Pages whose records of an earlier run are kept."""
        return self._taken_over

    @property
    def recorded(self) -> dict[int, LedgerEntry]:
        """Pages that were asked for and have a record, final or not."""
        entries = self._ledger.entries
        return {page: entries[page] for page in self.document.pages if page in entries}

    def page_done(self, page: int, *, taken_over: bool) -> PageDone:
        """Return the event of a page that has its final state in the ledger.

        Args:
            taken_over: an earlier run read it.
        """
        entry = self._ledger.entries[page]
        return PageDone(
            document=self.document.name,
            folder=printable(self.document.folder.relative_to(self._plan.out)),
            page=page,
            status=entry.status,
            how=entry.how,
            attempts=entry.attempts,
            tokens=entry.tokens,
            reason=entry.reason,
            taken_over=taken_over,
        )

    @property
    def remaining(self) -> Iterator[int]:
        """Numbers of the pages to read, ascending."""
        return (page for page in self.document.pages if page not in self._taken_over)

    @property
    def is_complete(self) -> bool:
        """True if every page that was asked for has its final state."""
        return len(self._done) == len(self.document.pages)

    @property
    def outputs_are_current(self) -> bool:
        """True if the outputs on disk were written from the records as they are now."""
        return bool(self._manifest) and self._manifest.get("outputs") == self._outputs()

    @property
    def record_offsets(self) -> tuple[int, ...]:
        """Offsets of the records to write outputs from, for `dsk.ocr.results.ledger.read_at`."""
        entries = self._ledger.entries
        if self._plan.compat:
            return tuple(entries[page].offset for page in self.document.pages)
        numbers = range(1, self.document.page_count + 1)
        return tuple(entries[page].offset if page in entries else ledger.NONE for page in numbers)

    def add(self, record: PageRecord, engine: EngineReady | None) -> PageRecord:
        """Append a page to the ledger, unless an earlier run read more of it.

        Args:
            record: the page's final state.
            engine: the engine that read it; None for a page that no engine has read.

        Returns:
            The record to use, with its key.

        Raises:
            UsageProblem: the ledger cannot be written to.
        """
        key = page_key(self.document.sha256, record.page, self._settings)
        names = _LIMITS_MET.get(record.status, ())
        limits = {name: getattr(self._plan.limits, name) for name in names}
        record = record.model_copy(update={"key": key, "limits": limits})
        self._done.add(record.page)
        if (better := self._better_record(record)) is not None:
            return better
        if engine is not None and "engine" not in self._manifest:
            # Before the first page: if this run ends early, a later one may find every page read
            # and write the outputs without ever starting an engine.
            description: dict[str, Any] = {"settings": engine.settings, "device": engine.device}
            if cards := self._plan.placement.described():
                description["gpus"] = cards
            self._write_manifest({"engine": description})
        self._ledger.append(record)
        return record

    def mark_written(self) -> None:
        """Record in the manifest that the outputs are written.

        Raises:
            UsageProblem: the folder is gone, or the disk is full.
        """
        self._ledger.ensure_exists()
        self._write_manifest({"outputs": self._outputs()})

    def discard(self) -> None:
        """Drop the records of this run: the document's file is not the one that they are kept for.

        Raises:
            UsageProblem: the ledger cannot be written to.
        """
        self._ledger.discard_appended()

    def close(self) -> None:
        """Close and unlock the ledger."""
        self._ledger.__exit__()

    def _is_final(self, entry: LedgerEntry) -> bool:
        """Return True if a page that an earlier run read is not to be read again."""
        if entry.is_interrupted:
            return entry.status in WHOLE
        limits = self._plan.limits
        is_raised = any(getattr(limits, name, 0) > value for name, value in entry.limits.items())
        return entry.status in WHOLE or not (is_raised or self._plan.retry_failed)

    def _better_record(self, record: PageRecord) -> PageRecord | None:
        """Return the record of an earlier run if it holds more text than the new one."""
        earlier = self._ledger.entries.get(record.page)
        if earlier is None or record.status in WHOLE:
            return None
        self._ledger.ensure_exists()
        (kept,) = ledger.read_at(self.document.folder, [earlier.offset])
        return kept if len(kept.text) > len(record.text) else None

    def _outputs(self) -> dict[str, Any]:
        """Describe the outputs: what they are made from, and how."""
        pages = self.document.pages if self._plan.compat else sorted(self._ledger.entries)
        return {
            "formats": sorted(self._plan.formats),
            "compat": self._plan.compat,
            "max_boxes": self._plan.limits.max_boxes,
            "pages": page_ranges(pages),
            "records": self._ledger.fingerprint(pages),
        }

    def _write_manifest(self, changes: dict[str, Any]) -> None:
        if not self._manifest:
            self._manifest = manifest.describe(self._plan, self.document, self._settings)
        self._manifest |= changes
        text = json.dumps(self._manifest, indent=2, ensure_ascii=False)
        file = self.document.folder / run_files.MANIFEST
        write_atomically(file, escaped_in_json(text) + "\n", beneath=self._plan.out)


def page_ranges(pages: Iterable[int]) -> str:
    """Format ascending page numbers as ranges: ``1-3,7``."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def _require_folder(out: Path) -> None:
    # The output folder existed when the run began. If somebody removed it since, documents that
    # are read already went with it: creating it again would hide that.
    if not out.is_dir():
        what = f"the output folder {printable(out)} is gone"
        raise UsageProblem(what, do="run the same command again")

"""One document of a run: its ledger while pages come in, its manifest, and what is left to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import remove_unfinished, write_atomically
from dsk.ocr.results import ledger, manifest
from dsk.ocr.results.ledger import Ledger, page_key
from dsk.ocr.schema import run_files
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dsk.ocr.engines.worker import Ready
    from dsk.ocr.results.ledger import Ended
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import Document, RunPlan

_MET: Final = {
    Status.REFUSED: ("max_image_pixels",),
    Status.TIMED_OUT: ("render_seconds", "read_seconds"),
}
"""The limits that a page of that state may have met, those apart that the settings' hash has."""


class Book:
    """A document that is being read.

    What an earlier run has read is taken over, unless the job says otherwise.

    Args:
        settings: a hash of all, the input apart, that its pages' results follow from.

    Raises:
        UsageProblem: its folder cannot be written to, or another run has it.
    """

    def __init__(self, plan: RunPlan, document: Document, settings: str) -> None:
        self.document = document
        self.bare = document.model_copy(update={"pages": []})
        """For what goes along with each page."""
        self._plan = plan
        self._settings = settings
        _make(document.folder, plan.out)
        # Pages that are not asked for, too: what earlier runs have read of them is written along.
        every = range(1, document.page_count + 1)
        keys = {page: page_key(document.sha256, page, settings) for page in every}
        self._ledger = Ledger(document.folder, keys, anew=plan.overwrite)
        remove_unfinished(document.folder)
        ended = self._ledger.ended
        self._found = {
            page: ended[page]
            for page in document.pages
            if page in ended and self._counts(ended[page])
        }
        self._ended = set(self._found)
        if plan.overwrite:
            (document.folder / run_files.MANIFEST).unlink(missing_ok=True)
        self._manifest = manifest.earlier(document, settings)

    @property
    def taken_over(self) -> dict[int, Ended]:
        """The pages that an earlier run has read."""
        return self._found

    @property
    def left(self) -> Iterator[int]:
        """The pages that are to be read, in order."""
        return (page for page in self.document.pages if page not in self._found)

    @property
    def complete(self) -> bool:
        """Whether every page that was asked for has its state."""
        return len(self._ended) == len(self.document.pages)

    @property
    def is_written(self) -> bool:
        """Whether the outputs that are there are those of these very records."""
        return bool(self._manifest) and self._manifest.get("outputs") == self._outputs()

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where the records of the pages to write begin; see `dsk.ocr.results.ledger.records`."""
        ended = self._ledger.ended
        if self._plan.compat:
            return tuple(ended[page].offset for page in self.document.pages)
        every = range(1, self.document.page_count + 1)
        return tuple(ended[page].offset if page in ended else ledger.NONE for page in every)

    def add(self, record: PageRecord, engine: Ready | None) -> PageRecord:
        """Take a page into the ledger, unless it has come out worse than an earlier run left it.

        Args:
            engine: what read it; None where nothing did.

        Returns:
            The record that counts, with its key.

        Raises:
            UsageProblem: the disk does not take it.
        """
        key = page_key(self.document.sha256, record.page, self._settings)
        limits = {name: getattr(self._plan.limits, name) for name in _MET.get(record.status, ())}
        record = record.model_copy(update={"key": key, "limits": limits})
        self._ended.add(record.page)
        if (kept := self._better(record)) is not None:
            return kept
        if engine is not None and "engine" not in self._manifest:
            # Before its first page: a later run that only writes outputs knows no engine.
            started = {"settings": engine.settings, "device": engine.device}
            self._write_manifest({"engine": started})
        self._ledger.append(record)
        return record

    def _counts(self, ended: Ended) -> bool:
        """Whether a page that an earlier run has read is not to be read again."""
        limits = self._plan.limits
        raised = any(getattr(limits, name, 0) > value for name, value in ended.limits.items())
        return ended.status in WHOLE or not (raised or self._plan.retry_failed)

    def _better(self, record: PageRecord) -> PageRecord | None:
        """The page's record of an earlier run, where reading it again has left less of it."""
        earlier = self._ledger.ended.get(record.page)
        if earlier is None or record.status in WHOLE:
            return None
        self._ledger.ensure_exists()
        (kept,) = ledger.records(self.document.folder, [earlier.offset])
        return kept if len(kept.text) > len(record.text) else None

    def written(self) -> None:
        """Say in the manifest that the outputs are there.

        Raises:
            UsageProblem: they are not: the folder is gone, or the disk is full.
        """
        self._ledger.ensure_exists()
        self._write_manifest({"outputs": self._outputs()})

    def close(self) -> None:
        """Let go of the ledger."""
        self._ledger.__exit__()

    def _outputs(self) -> dict[str, Any]:
        pages = self.document.pages if self._plan.compat else sorted(self._ledger.ended)
        return {
            "formats": sorted(self._plan.formats),
            "compat": self._plan.compat,
            "max_boxes": self._plan.limits.max_boxes,
            "pages": pages_of(pages),
            "records": self._ledger.fingerprint(pages),
        }

    def _write_manifest(self, more: dict[str, Any]) -> None:
        if not self._manifest:
            self._manifest = manifest.manifest(self._plan, self.document, self._settings)
        self._manifest |= more
        said = json.dumps(self._manifest, indent=2, ensure_ascii=False)
        write_atomically(self.document.folder / run_files.MANIFEST, said + "\n")


def pages_of(pages: Iterable[int]) -> str:
    """Page numbers, ascending, as ranges: ``1-3,7``."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def _make(folder: Path, out: Path) -> None:
    # An output folder that is gone took other documents with it: it is not made again.
    if not out.is_dir():
        what = f"the output folder {printable(out)} is gone"
        raise UsageProblem(what, do="run the same command again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder {printable(folder)} cannot be made ({error.strerror})"
        raise UsageProblem(what, do="name another with -o") from error

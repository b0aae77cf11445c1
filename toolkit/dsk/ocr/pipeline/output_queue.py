"""Queue of documents that are read and whose outputs are to be written."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from dsk.filenames import printable
from dsk.files import remove_unfinished
from dsk.ocr.outputs import registry
from dsk.ocr.pipeline.page_worker import WriteTask
from dsk.ocr.pipeline.worker_pool import CompletedTask, WorkerPool
from dsk.ocr.schema.events import OutputsMissing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.results.document_run import DocumentRun
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan

# Documents that may wait for their outputs before no further page is started: the engine would
# otherwise run ahead of a slow disk, and documents with open ledgers would pile up.
_MOST_WAITING: Final = 8

# Seconds for each page of a document, on top of the time limit for rendering one.
_SECONDS_A_PAGE: Final = 0.5

# A writer that takes longer than these seconds is no longer waited for: another one is started, so
# that a document whose file hangs MuPDF holds no other up.
_PATIENCE: Final = 10.0
_MOST_SLOW: Final = 8


@dataclass(kw_only=True, eq=False)
class _Steps:
    """Steps of a document whose writer died: its formats one by one, so that one fails alone.

    Args:
        left: formats of the steps that are left; the first one is being taken.
        figures: names of the pictures that were cut out.
        failures: the reason for each format that could not be written.
    """

    left: deque[frozenset[str]]
    figures: frozenset[str] = frozenset()
    failures: dict[str, str] = field(default_factory=dict)


class OutputQueue:
    """Writer of documents' outputs, several at once on large machines. A context manager.

    Args:
        plan: the plan of the run.
        emit: called with the outputs of each document that could not be written.
    """

    def __init__(self, plan: RunPlan, emit: Listener) -> None:
        self._plan = plan
        self._emit = emit
        # A quarter of the cores: rendering feeds the engine and comes first.
        size = max(1, min(4, len(os.sched_getaffinity(0)) // 4))
        self._size = size
        self._workers: WorkerPool[DocumentRun] = WorkerPool(size)
        self._waiting: deque[DocumentRun] = deque()
        self._steps: dict[DocumentRun, _Steps] = {}
        # Folders that a writer which is killed may leave a temporary file in.
        self._unfinished: set[Path] = set()
        self.degraded = False
        """True once a document's outputs are incomplete."""

    def __enter__(self) -> Self:
        self._workers.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.__exit__(*error)
        for folder in self._unfinished:
            remove_unfinished(folder)

    def __len__(self) -> int:
        """Return the number of documents that wait or are being written."""
        return len(self._waiting) + self._workers.busy

    @property
    def is_full(self) -> bool:
        """True if so many documents wait that no further page should be started."""
        return len(self._waiting) >= _MOST_WAITING

    @property
    def channels(self) -> list[Channel]:
        """Channels of the busy writers, for `select`."""
        return self._workers.channels

    @property
    def deadline(self) -> float:
        """Earliest deadline of a document being written, in `time.monotonic` seconds."""
        return self._workers.deadline

    def add(self, document_run: DocumentRun) -> None:
        """Queue a document whose pages are all read."""
        self._waiting.append(document_run)

    def start_writing(self) -> None:
        """Assign waiting documents to writers that are free."""
        slow = self._workers.busy_longer_than(_PATIENCE)
        self._workers.size = self._size + min(slow, _MOST_SLOW)
        while self._waiting and self._workers.has_room:
            document_run = self._waiting.popleft()
            steps = self._steps.get(document_run)
            task = WriteTask(
                document=document_run.document,
                out=self._plan.out,
                offsets=document_run.record_offsets,
                formats=steps.left[0] if steps else self._plan.formats,
                compat=self._plan.compat,
                dpi=self._plan.dpi,
                limits=self._plan.limits,
                figures=steps.figures if steps else frozenset(),
            )
            seconds = self._plan.limits.render_seconds
            seconds += round(_SECONDS_A_PAGE * len(task.offsets))
            self._unfinished.add(document_run.document.folder)
            self._workers.submit(document_run, task, seconds)

    def poll(self, channels: list[Channel]) -> Iterator[DocumentRun]:
        """Receive from the writers of readable channels; yield the documents that are finished.

        Raises:
            UsageProblem: a manifest cannot be written: the disk is full, or the folder gone.
            EngineMissing: no writer can be started.
        """
        for completed in (*self._workers.poll(channels), *self._workers.expire()):
            if self._is_finished(completed):
                yield completed.token

    def _is_finished(self, completed: CompletedTask[DocumentRun]) -> bool:
        """Mark a document as written, or queue its next step; return False if one is queued."""
        document_run, result = completed.token, completed.result
        if result.is_changed:
            document_run.discard()
            self._report(document_run, dict.fromkeys(self._formats, result.reason))
            return True
        steps = self._steps.get(document_run)
        if steps is None:
            if result.status is not None:
                self._steps[document_run] = _Steps(left=deque(self._single_steps()))
                self.add(document_run)
                return False
            steps = _Steps(left=deque([self._formats]))
        formats = steps.left.popleft()
        if result.status is not None:
            steps.failures |= dict.fromkeys(formats, result.reason)
        steps.failures |= result.failures
        steps.figures |= result.figures
        if steps.left:
            self._steps[document_run] = steps
            self.add(document_run)
            return False
        if not completed.crashed:
            # One that was killed may be writing still: it is the fork server that kills it.
            self._unfinished.discard(document_run.document.folder)
            if self._steps.pop(document_run, None):
                remove_unfinished(document_run.document.folder)
        # Outputs that are missing are not marked as written: the next run tries them again.
        if steps.failures:
            self._report(document_run, steps.failures)
        else:
            document_run.mark_written()
        return True

    def _report(self, document_run: DocumentRun, reasons: dict[str, str]) -> None:
        """Emit which outputs of a document are missing."""
        self.degraded = True
        document = document_run.document
        folder = printable(document.folder.relative_to(self._plan.out))
        self._emit(OutputsMissing(document=document.name, folder=folder, reasons=reasons))

    @property
    def _formats(self) -> frozenset[str]:
        """Names of all formats that are written."""
        if self._plan.compat:
            return frozenset({self._plan.compat})
        return self._plan.formats | {*registry.required_names()}

    def _single_steps(self) -> list[frozenset[str]]:
        """Return the formats of each step: pictures, texts, and each format that needs the file."""
        if self._plan.compat:
            return [self._formats]
        chosen = [fmt for fmt in registry.formats() if fmt.name in self._formats]
        pictures = [frozenset({fmt.name}) for fmt in chosen if fmt.cuts_figures]
        texts = frozenset(fmt.name for fmt in chosen if not fmt.needs_source)
        others = [
            frozenset({fmt.name}) for fmt in chosen if fmt.needs_source and not fmt.cuts_figures
        ]
        return [*pictures, texts, *others]

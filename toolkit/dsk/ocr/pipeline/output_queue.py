"""Queue of documents that are read and whose outputs are to be written."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from dsk.files import remove_unfinished
from dsk.ocr.outputs import registry
from dsk.ocr.pipeline.page_worker import WriteTask
from dsk.ocr.pipeline.worker_pool import CompletedTask, WorkerPool
from dsk.ocr.schema.events import Warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.results.document_run import DocumentRun
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan

# Documents that may wait for their outputs before no further page is started: the engine would
# otherwise run ahead of a slow disk, and documents with open ledgers would pile up.
_MOST_WAITING: Final = 8

# Seconds for each page of a document, on top of the time limit for rendering one.
_SECONDS_A_PAGE: Final = 0.5

# After so many failures a document's file is taken for what makes writing fail: only the formats
# made from the records alone are written. One failure may have another cause.
_FAILURES_BEFORE_TEXT_ONLY: Final = 2


class OutputQueue:
    """Writer of documents' outputs, several at once on large machines. A context manager.

    Args:
        plan: the plan of the run.
        emit: called with a warning for each document whose outputs are incomplete.
    """

    def __init__(self, plan: RunPlan, emit: Listener) -> None:
        self._plan = plan
        self._emit = emit
        # A quarter of the cores: rendering feeds the engine and comes first.
        size = max(1, min(4, len(os.sched_getaffinity(0)) // 4))
        self._workers: WorkerPool[DocumentRun] = WorkerPool(size)
        self._waiting: deque[DocumentRun] = deque()
        self._failures: dict[DocumentRun, int] = {}
        self.degraded = False
        """True once a document's outputs are incomplete."""

    def __enter__(self) -> Self:
        self._workers.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.__exit__(*error)

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
        while self._waiting and self._workers.has_room:
            document_run = self._waiting.popleft()
            task = WriteTask(
                document=document_run.document,
                out=self._plan.out,
                offsets=document_run.record_offsets,
                formats=self._formats(document_run),
                compat=self._plan.compat,
                dpi=self._plan.dpi,
                limits=self._plan.limits,
            )
            seconds = self._plan.limits.render_seconds
            seconds += round(_SECONDS_A_PAGE * len(task.offsets))
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
        """Mark a document as written, or queue it again; return False if it is queued again."""
        document_run = completed.token
        failures = self._failures.get(document_run, 0)
        if failures:
            # The writer before this one may have been killed in the middle of a file. Not at once:
            # it is the fork server that kills it.
            remove_unfinished(document_run.document.folder)
        if completed.result.status is None:
            # Texts alone are not marked as written: the next run tries all formats again.
            if failures < _FAILURES_BEFORE_TEXT_ONLY:
                document_run.mark_written()
            return True
        if completed.result.is_changed:
            self.degraded = True
            document_run.discard()
            reason = completed.result.reason
            self._emit(Warned(message=f"no outputs were written: {reason}"))
            return True
        self._failures[document_run] = failures = failures + 1
        if failures == _FAILURES_BEFORE_TEXT_ONLY:
            self.degraded = True
            name = document_run.document.name
            reason = completed.result.reason
            self._emit(Warned(message=f"the outputs of {name} are incomplete: {reason}"))
        if failures <= _FAILURES_BEFORE_TEXT_ONLY:
            self.add(document_run)
        return failures > _FAILURES_BEFORE_TEXT_ONLY

    def _formats(self, document_run: DocumentRun) -> frozenset[str]:
        failures = self._failures.get(document_run, 0)
        if failures < _FAILURES_BEFORE_TEXT_ONLY:
            return self._plan.formats
        return registry.names_without_source()

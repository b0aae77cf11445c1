"""Documents that are read, on their way to the process that writes their outputs."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final, Self

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

_UNWRITTEN: Final = 8
"""Documents that are read and not written, beyond which no further page is to be begun."""
_SECONDS_TO_WRITE: Final = 0.5
"""For each page of a document, beyond the limit for rendering one."""
_TEXTS_ALONE_AFTER: Final = 2
"""Failures to write a document's outputs after which only those are written that need no file."""


class OutputQueue:
    """Writes documents' outputs, on large machines several at once. A context manager.

    Args:
        plan: what is to be written.
        emit: told of outputs that are not whole.
    """

    def __init__(self, plan: RunPlan, emit: Listener) -> None:
        self._plan = plan
        self._emit = emit
        self._workers: WorkerPool[DocumentRun] = WorkerPool(
            max(1, min(4, len(os.sched_getaffinity(0)) // 4))
        )
        self._waiting: deque[DocumentRun] = deque()
        self._failures: dict[DocumentRun, int] = {}
        self.degraded = False
        """Whether some document's outputs did not come out whole."""

    def __enter__(self) -> Self:
        self._workers.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.__exit__(*error)

    def __len__(self) -> int:
        """The documents that wait or are written."""
        return len(self._waiting) + self._workers.busy

    @property
    def is_full(self) -> bool:
        """Whether so many wait that reading has to."""
        return len(self._waiting) >= _UNWRITTEN

    @property
    def channels(self) -> list[Channel]:
        """To wait for with `select`."""
        return self._workers.channels

    @property
    def deadline(self) -> float:
        """When the first document that is written is late, in `time.monotonic` seconds."""
        return self._workers.deadline

    def add(self, document_run: DocumentRun) -> None:
        """Have a document's outputs written."""
        self._waiting.append(document_run)

    def begin(self) -> None:
        """Begin with the next document, if its turn has come."""
        while self._waiting and self._workers.has_room:
            document_run = self._waiting.popleft()
            task = WriteTask(
                document=document_run.document,
                offsets=document_run.record_offsets,
                formats=self._formats(document_run),
                compat=self._plan.compat,
                dpi=self._plan.dpi,
                limits=self._plan.limits,
            )
            seconds = self._plan.limits.render_seconds
            seconds += round(_SECONDS_TO_WRITE * len(task.offsets))
            self._workers.submit(document_run, task, seconds)

    def poll(self, channels: list[Channel]) -> Iterator[DocumentRun]:
        """The documents that are done with, after something came over these channels.

        Raises:
            UsageProblem: the disk does not take it.
            EngineMissing: the process cannot be started.
        """
        for done in (*self._workers.poll(channels), *self._workers.expire()):
            if self._is_done_with(done):
                yield done.token

    def _is_done_with(self, done: CompletedTask[DocumentRun]) -> bool:
        document_run = done.token
        failures = self._failures.get(document_run, 0)
        if done.result.status is None:
            if failures < _TEXTS_ALONE_AFTER:
                document_run.mark_written()
            return True
        self._failures[document_run] = failures = failures + 1
        if failures == _TEXTS_ALONE_AFTER:
            self.degraded = True
            name = document_run.document.name
            self._emit(Warned(message=f"the outputs of {name} are not whole: {done.result.reason}"))
        if failures <= _TEXTS_ALONE_AFTER:
            self.add(document_run)
        return failures > _TEXTS_ALONE_AFTER

    def _formats(self, document_run: DocumentRun) -> frozenset[str]:
        """What of a document is to be written: after failures only what does without its file."""
        failures = self._failures.get(document_run, 0)
        if failures < _TEXTS_ALONE_AFTER:
            return self._plan.formats
        return registry.names_without_source()

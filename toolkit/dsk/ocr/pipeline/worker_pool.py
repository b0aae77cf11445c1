"""Pool of document worker processes: start, assign, time out, restart."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from dsk.errors import EngineMissing
from dsk.ocr.ipc.channel import Channel
from dsk.ocr.pipeline.page_worker import TaskResult
from dsk.ocr.schema.limits import flag
from dsk.ocr.schema.page_record import Status
from dsk.processes import worker as start_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.pipeline.page_worker import Task

Token = TypeVar("Token")

TASKS_PER_WORKER: Final = 500
"""After so many a new process takes over: MuPDF keeps fonts and glyphs."""

_MAX_FAILED_STARTS: Final = 3
"""Processes that may end one after the other before they are ready."""


@dataclass(frozen=True, kw_only=True)
class CompletedTask(Generic[Token]):
    """What came of a task: ``token`` says which; ``file`` is the caller's to close."""

    token: Token
    result: TaskResult
    file: int | None = None
    crashed: bool = False
    """The process did not survive it."""


class WorkerPool(Generic[Token]):
    """A number of such processes. A context manager: leaving it ends them.

    Args:
        size: how many there are at most; they are started as they are needed.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._workers: list[_Worker[Token]] = []
        self._failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    @property
    def busy(self) -> int:
        """How many are at work."""
        return sum(worker.token is not None for worker in self._workers)

    @property
    def has_room(self) -> bool:
        """Whether a task could be given now."""
        return self._idle() is not None or len(self._workers) < self._size

    @property
    def channels(self) -> list[Channel]:
        """To wait for with `select`: each that something will come from."""
        return [worker.channel for worker in self._workers if worker.token is not None]

    @property
    def deadline(self) -> float:
        """When the first task is late, in `time.monotonic` seconds."""
        return min((worker.deadline for worker in self._workers), default=float("inf"))

    def submit(self, token: Token, task: Task, seconds: float) -> None:
        """Give a task to one that is free.

        Args:
            token: comes back with what came of it.
            seconds: how long it may take.
        """
        worker = self._idle()
        if worker is None:
            worker = _Worker()
            self._workers.append(worker)
        worker.begin(token, task, seconds)

    def poll(self, channels: list[Channel]) -> Iterator[CompletedTask[Token]]:
        """What came of the tasks of those whose channels have something.

        Raises:
            EngineMissing: a process cannot be started.
        """
        for worker in [one for one in self._workers if one.channel in channels]:
            assert worker.token is not None
            if not worker.greeted:
                self._greet(worker)
                continue
            try:
                made, file = worker.answer()
            except EOFError:
                reason = "the process that rendered it crashed, or ran out of memory"
                made, file = TaskResult(status=Status.RENDER_FAILED, reason=reason), None
                self._dismiss(worker)
                yield CompletedTask(token=worker.token, result=made, crashed=True)
                continue
            yield CompletedTask(token=worker.token, result=made, file=file)
            worker.token = None
            if worker.left == 0:
                self._dismiss(worker)

    def expire(self) -> Iterator[CompletedTask[Token]]:
        """The tasks that took too long; their processes are ended."""
        now = time.monotonic()
        for worker in [one for one in self._workers if one.deadline <= now]:
            assert worker.token is not None
            self._dismiss(worker)
            what = f"it took longer than {worker.seconds:g} s to render"
            reason = f"{what}: {flag('render_seconds')} raises the limit"
            made = TaskResult(status=Status.TIMED_OUT, reason=reason, seconds=worker.seconds)
            yield CompletedTask(token=worker.token, result=made, crashed=True)

    def _greet(self, worker: _Worker[Token]) -> None:
        """Hear that a process is ready; one that ended instead is replaced, but not for ever."""
        if worker.greet():
            self._failed_starts = 0
            return
        self._failed_starts += 1
        if self._failed_starts > _MAX_FAILED_STARTS:
            what = "the process that renders pages cannot be started"
            raise EngineMissing(what, do="its own words are in the log")
        assert worker.token is not None
        assert worker.task is not None
        self._dismiss(worker)
        self.submit(worker.token, worker.task, worker.seconds)

    def _idle(self) -> _Worker[Token] | None:
        return next((worker for worker in self._workers if worker.token is None), None)

    def _dismiss(self, worker: _Worker[Token]) -> None:
        worker.end()
        self._workers.remove(worker)


class _Worker(Generic[Token]):
    """One process: free where ``token`` is None."""

    def __init__(self) -> None:
        self.channel, theirs = Channel.pair()
        with theirs:
            command = [sys.executable, "-m", "dsk.ocr.pipeline.page_worker", str(theirs.fileno())]
            self._process = start_worker(command, pass_fds=[theirs.fileno()])
        self.token: Token | None = None
        self.task: Task | None = None
        self.left = TASKS_PER_WORKER
        self.seconds = 0.0
        self.deadline = float("inf")
        self.greeted = False

    def greet(self) -> bool:
        """Hear whether it is ready: no page is to blame for how long that took."""
        try:
            self.channel.receive()
        except EOFError:
            return False
        self.greeted = True
        self.deadline = time.monotonic() + self.seconds
        return True

    def begin(self, token: Token, task: Task, seconds: float) -> None:
        self.token, self.task = token, task
        self.left -= 1
        self.seconds = seconds
        if self.greeted:
            self.deadline = time.monotonic() + seconds
        try:
            self.channel.send(task)
        except EOFError:
            return  # its end is heard of when the answer does not come

    def answer(self) -> tuple[TaskResult, int | None]:
        body, file = self.channel.receive()
        self.deadline = float("inf")
        return TaskResult.model_validate_json(body), file

    def end(self) -> None:
        self.deadline = float("inf")
        self.channel.close()
        self._process.kill()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # in the kernel's hands: it ends when the disk answers
            return

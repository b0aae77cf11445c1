"""Pool of document worker processes: start, assign, time out, restart."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from dsk.errors import EngineMissing
from dsk.ocr.ipc.channel import BrokenMessage
from dsk.ocr.pipeline import fork_server, page_worker, result_check
from dsk.ocr.pipeline.fork_server import ForkServer
from dsk.ocr.pipeline.page_worker import TaskResult, WriteTask
from dsk.ocr.schema.limits import flag
from dsk.ocr.schema.page_record import Status
from dsk.processes import oom
from dsk.processes.exit_status import described

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.page_worker import Task

Token = TypeVar("Token")

COMMAND: Final = fork_server.command(page_worker.__name__)
"""The fork server of workers."""

# MuPDF keeps the fonts and glyphs that it has met: a new process gives that memory back.
TASKS_PER_WORKER: Final = 500

# Consecutive workers that exit before their first message. One may be killed for memory that
# somebody else took; after four the installation is broken and restarting would never end.
_MAX_FAILED_STARTS: Final = 3

# Seconds for the start of a worker and of its server, which imports from a network disk perhaps;
# one that takes longer hangs.
_START_SECONDS: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class CompletedTask(Generic[Token]):
    """Task that is over, successfully or not.

    Args:
        token: the token that the task was submitted with.
        result: the worker's answer; made up by the pool where ``crashed``.
        file: descriptor of the page's pixels in memory, the caller's to close.
        crashed: whether the worker died or was killed during the task.
    """

    token: Token
    result: TaskResult
    file: int | None = None
    crashed: bool = False


class WorkerPool(Generic[Token]):
    """Worker processes, started when first needed. A context manager: leaving it kills them.

    A worker opens one document. A task of another document gets another worker: a document that
    takes its worker over reaches no other one.

    Args:
        size: the most workers at a time.
        command: the fork server of the workers.
    """

    def __init__(self, size: int, command: Sequence[str | Path] = COMMAND) -> None:
        self.size = size
        """The most workers at a time."""
        self._server = ForkServer(command)
        self._workers: list[_Worker[Token]] = []
        self._failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        self._server.close()

    @property
    def busy(self) -> int:
        """Number of workers with a task."""
        return sum(worker.token is not None for worker in self._workers)

    def busy_longer_than(self, seconds: float) -> int:
        """Return the number of workers that have had their task for longer."""
        now = time.monotonic()
        return sum(
            worker.token is not None and now - worker.since > seconds for worker in self._workers
        )

    @property
    def has_room(self) -> bool:
        """True if a task can be submitted now."""
        return self.busy < self.size

    @property
    def channels(self) -> list[Channel]:
        """Channels of the busy workers, for `select`."""
        # An idle worker that dies makes its channel readable too: with it in the list, `select`
        # would return at once for ever. Its death is noticed with its next task.
        return [worker.channel for worker in self._workers if worker.token is not None]

    @property
    def deadline(self) -> float:
        """Earliest deadline of a task, in `time.monotonic` seconds; infinite without tasks."""
        return min((worker.deadline for worker in self._workers), default=float("inf"))

    def submit(self, token: Token, task: Task, seconds: float) -> None:
        """Assign a task to an idle worker, or to a new one.

        Args:
            token: identifies the task in its `CompletedTask`.
            task: the message to send.
            seconds: the time limit.
        """
        idle = [worker for worker in self._workers if worker.token is None]
        worker = next((each for each in idle if each.has_opened(task)), None)
        if worker is None:
            if len(self._workers) >= self.size:
                self._discard(idle[0])
            worker = _Worker(self._server)
            self._workers.append(worker)
        worker.assign(token, task, seconds)

    def poll(self, channels: list[Channel]) -> Iterator[CompletedTask[Token]]:
        """Receive from the workers of readable channels; yield the tasks that have ended.

        A worker whose result is malformed counts as crashed.

        Raises:
            EngineMissing: workers exit as soon as they are started.
        """
        for worker in [each for each in self._workers if each.channel in channels]:
            assert worker.token is not None
            if not worker.is_ready:
                self._confirm_start(worker)
                continue
            try:
                received = worker.receive_result()
            except (EOFError, ValueError) as error:
                reason = f"the process that rendered it crashed: {self._end_of(worker, error)}"
                result = TaskResult(status=Status.RENDER_FAILED, reason=reason)
                self._discard(worker)
                yield CompletedTask(token=worker.token, result=result, crashed=True)
                continue
            if received is None:
                continue
            result, file = received
            yield CompletedTask(token=worker.token, result=result, file=file)
            worker.token = None
            if worker.tasks_left == 0:
                self._discard(worker)

    def expire(self) -> Iterator[CompletedTask[Token]]:
        """Kill the workers whose tasks are past their deadline; yield these as timed out."""
        now = time.monotonic()
        for worker in [each for each in self._workers if each.deadline <= now]:
            assert worker.token is not None
            if not worker.is_ready:
                self._restart(worker)
                continue
            self._discard(worker)
            reason = (
                f"it took longer than {worker.seconds:g} s to render: "
                f"{flag('render_seconds')} raises the limit"
            )
            result = TaskResult(status=Status.TIMED_OUT, reason=reason, seconds=worker.seconds)
            yield CompletedTask(token=worker.token, result=result, crashed=True)

    def _end_of(self, worker: _Worker[Token], error: Exception) -> str:
        """Return the end of a worker in words: its status, with its signal and the usual cause."""
        if isinstance(error, ValueError | BrokenMessage):
            return "it sent a broken message"
        code = self._server.end_of_worker(worker.number)
        if code is None:
            return "it closed its connection"
        return f"it ended with {described(code, oom.since(worker.oom_before, oom.counts()))}"

    def _confirm_start(self, worker: _Worker[Token]) -> None:
        """Start the clock of a new worker's task; replace a worker that exited while it started."""
        if worker.confirm_start():
            self._failed_starts = 0
        else:
            self._restart(worker)

    def _restart(self, worker: _Worker[Token]) -> None:
        """Replace a worker that does not start.

        Raises:
            EngineMissing: too many in a row did not.
        """
        self._failed_starts += 1
        if self._failed_starts > _MAX_FAILED_STARTS:
            what = "the process that renders pages cannot be started"
            raise EngineMissing(what, do="read its own messages in the log")
        assert worker.token is not None
        assert worker.task is not None
        self._discard(worker)
        self.submit(worker.token, worker.task, worker.seconds)

    def _discard(self, worker: _Worker[Token]) -> None:
        worker.close()
        self._server.end_worker(worker.number)
        self._workers.remove(worker)


class _Worker(Generic[Token]):
    """One worker process; idle where ``token`` is None."""

    def __init__(self, server: ForkServer) -> None:
        self.oom_before = oom.counts()
        self.number, self.channel = server.start_worker()
        self.token: Token | None = None
        self.task: Task | None = None
        self.tasks_left = TASKS_PER_WORKER
        self.seconds = 0.0
        self.since = time.monotonic()
        self.deadline = self.since + _START_SECONDS
        self.is_ready = False

    def confirm_start(self) -> bool:
        """Receive the first message and set the deadline; return False if the process is gone."""
        try:
            self.channel.receive()
        except EOFError:
            return False
        self.is_ready = True
        # The first task was sent before: its time starts now, since importing MuPDF and NumPy on a
        # busy machine takes seconds that are no page's fault.
        self.deadline = time.monotonic() + self.seconds
        return True

    def assign(self, token: Token, task: Task, seconds: float) -> None:
        self.token, self.task = token, task
        self.since = time.monotonic()
        self.tasks_left -= 1
        self.seconds = seconds
        if self.is_ready:
            self.deadline = time.monotonic() + seconds
        try:
            self.channel.send(task)
        except EOFError:
            return  # the dead process's channel is readable, so `poll` finds out next

    def has_opened(self, task: Task) -> bool:
        """Return True if the worker was started for the document of a task."""
        # One that has written outputs was allowed to write.
        is_of_pages = not isinstance(task, WriteTask) and not isinstance(self.task, WriteTask)
        return is_of_pages and self.task is not None and self.task.document == task.document

    def receive_result(self) -> tuple[TaskResult, int | None] | None:
        """Receive the result of the task; None if it has not come whole yet.

        Raises:
            EOFError: the worker is gone.
            ValueError: it sent something else.
        """
        assert self.task is not None
        # A worker that stops in the middle of a message must not stop the pool: pages of other
        # documents would miss their deadlines. Its own deadline ends it.
        received = self.channel.receive_available()
        if received is None:
            return None
        body, file = received
        try:
            result = result_check.checked(self.task, body, file)
        except ValueError:
            if file is not None:
                os.close(file)
            raise
        self.deadline = float("inf")
        return result, file

    def close(self) -> None:
        """Close the channel; the worker is killed by the server, or ends by itself."""
        self.deadline = float("inf")
        self.channel.close()

"""Pool of document worker processes: start, assign, time out, restart."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from dsk.errors import EngineMissing
from dsk.ocr.ipc.channel import Channel
from dsk.ocr.pipeline.page_worker import Made
from dsk.ocr.schema.limits import flag
from dsk.ocr.schema.page_record import Status
from dsk.processes import worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.pipeline.page_worker import Task

Token = TypeVar("Token")

TASKS: Final = 500
"""After so many a new process takes over: MuPDF keeps fonts and glyphs."""

_STILLBORN: Final = 3
"""Processes that may end one after the other before they are ready."""


@dataclass(frozen=True, kw_only=True)
class Done(Generic[Token]):
    """What came of a task: ``token`` says which; ``file`` is the caller's to close."""

    token: Token
    made: Made
    file: int | None = None
    crashed: bool = False
    """The process did not survive it."""


class Crew(Generic[Token]):
    """A number of such processes. A context manager: leaving it ends them.

    Args:
        size: how many there are at most; they are started as they are needed.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._members: list[_Member[Token]] = []
        self._stillborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for member in self._members:
            member.end()
        self._members.clear()

    @property
    def busy(self) -> int:
        """How many are at work."""
        return sum(member.token is not None for member in self._members)

    @property
    def has_room(self) -> bool:
        """Whether a task could be given now."""
        return self._idle() is not None or len(self._members) < self._size

    @property
    def channels(self) -> list[Channel]:
        """To wait for with `select`: each that something will come from."""
        return [member.channel for member in self._members if member.token is not None]

    @property
    def deadline(self) -> float:
        """When the first task is late, in `time.monotonic` seconds."""
        return min((member.deadline for member in self._members), default=float("inf"))

    def give(self, token: Token, task: Task, seconds: float) -> None:
        """Give a task to one that is free.

        Args:
            token: comes back with what came of it.
            seconds: how long it may take.
        """
        member = self._idle()
        if member is None:
            member = _Member()
            self._members.append(member)
        member.begin(token, task, seconds)

    def heard(self, channels: list[Channel]) -> Iterator[Done[Token]]:
        """What came of the tasks of those whose channels have something.

        Raises:
            EngineMissing: a process cannot be started.
        """
        for member in [one for one in self._members if one.channel in channels]:
            assert member.token is not None
            if not member.greeted:
                self._greet(member)
                continue
            try:
                made, file = member.answer()
            except EOFError:
                reason = "the process that rendered it crashed, or ran out of memory"
                made, file = Made(status=Status.RENDER_FAILED, reason=reason), None
                self._dismiss(member)
                yield Done(token=member.token, made=made, crashed=True)
                continue
            yield Done(token=member.token, made=made, file=file)
            member.token = None
            if member.left == 0:
                self._dismiss(member)

    def late(self) -> Iterator[Done[Token]]:
        """The tasks that took too long; their processes are ended."""
        now = time.monotonic()
        for member in [one for one in self._members if one.deadline <= now]:
            assert member.token is not None
            self._dismiss(member)
            what = f"it took longer than {member.seconds:g} s to render"
            reason = f"{what}: {flag('render_seconds')} raises the limit"
            made = Made(status=Status.TIMED_OUT, reason=reason, seconds=member.seconds)
            yield Done(token=member.token, made=made, crashed=True)

    def _greet(self, member: _Member[Token]) -> None:
        """Hear that a process is ready; one that ended instead is replaced, but not for ever."""
        if member.greet():
            self._stillborn = 0
            return
        self._stillborn += 1
        if self._stillborn > _STILLBORN:
            what = "the process that renders pages cannot be started"
            raise EngineMissing(what, do="its own words are in the log")
        assert member.token is not None
        assert member.task is not None
        self._dismiss(member)
        self.give(member.token, member.task, member.seconds)

    def _idle(self) -> _Member[Token] | None:
        return next((member for member in self._members if member.token is None), None)

    def _dismiss(self, member: _Member[Token]) -> None:
        member.end()
        self._members.remove(member)


class _Member(Generic[Token]):
    """One process: free where ``token`` is None."""

    def __init__(self) -> None:
        self.channel, theirs = Channel.pair()
        with theirs:
            command = [sys.executable, "-m", "dsk.ocr.pipeline.page_worker", str(theirs.fileno())]
            self._process = worker(command, pass_fds=[theirs.fileno()])
        self.token: Token | None = None
        self.task: Task | None = None
        self.left = TASKS
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

    def answer(self) -> tuple[Made, int | None]:
        body, file = self.channel.receive()
        self.deadline = float("inf")
        return Made.model_validate_json(body), file

    def end(self) -> None:
        self.deadline = float("inf")
        self.channel.close()
        self._process.kill()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # in the kernel's hands: it ends when the disk answers
            return

"""Processes forked from one that has imported everything: a new one takes milliseconds.

The server itself opens no document. What a document does to the process that opens it therefore
ends with that process, and reaches no other document.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from dsk.confinement import privileges
from dsk.control_characters import visible
from dsk.ocr.documents import sandbox
from dsk.ocr.ipc.channel import Channel, Message
from dsk.processes import unkillable
from dsk.processes import worker as start_worker
from dsk.processes.exit_status import shell_code
from dsk.processes.unkillable import has_ended

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

# Seconds that the server may take to end its processes.
_END_SECONDS: Final = 30.0
# What a process that opens documents may send at once, and how long it may take to send it.
_MOST_BYTES: Final = 32 << 20
_MOST_SECONDS: Final = 10.0
# Seconds from the end of a process's channel to its own, for its true exit status.
_EXIT_SECONDS: Final = 2.0
_POLL: Final = 0.01


class StartWorker(Message):
    """Order to fork a process; its end of a channel is sent along."""

    order: Literal["start"] = "start"
    number: int


class EndWorker(Message):
    """Order to kill a process."""

    order: Literal["end"] = "end"
    number: int


class FindEnd(Message):
    """Order to tell how a process ended that has closed its channel."""

    order: Literal["find"] = "find"
    number: int


class WorkerEnded(Message):
    """Answer to `FindEnd`: the exit code, as a shell has it; None if the process goes on."""

    number: int
    code: int | None


_ORDERS: TypeAdapter[StartWorker | EndWorker | FindEnd] = TypeAdapter(
    Annotated[StartWorker | EndWorker | FindEnd, Field(discriminator="order")]
)


class ForkServer:
    """A fork server, started when first needed.

    Args:
        command: its program, which calls `serve` on the descriptor given as its last argument.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Channel | None = None
        self._number = 0

    @property
    def pid(self) -> int | None:
        """The server's process, if it is started."""
        return self._process.pid if self._process else None

    def start_worker(self) -> tuple[int, Channel]:
        """Have a process forked; return its number and our end of the channel to it.

        The channel ends at once if the server cannot start.
        """
        self._number += 1
        ours, theirs = Channel.pair(max_bytes=_MOST_BYTES, seconds=_MOST_SECONDS)
        with theirs:
            order = StartWorker(number=self._number)
            try:
                self._connected().send(order, theirs.fileno())
            except EOFError:
                # The kernel may have killed it for memory that somebody else took.
                self.close()
                with contextlib.suppress(EOFError):
                    self._connected().send(order, theirs.fileno())
        return self._number, ours

    def end_worker(self, number: int) -> None:
        """Kill a process, if it is still there."""
        # SIGKILL: one stuck in MuPDF's C code would never get to handle SIGTERM.
        if self._control is not None:
            with contextlib.suppress(EOFError):
                self._control.send(EndWorker(number=number))

    def end_of_worker(self, number: int) -> int | None:
        """Return the exit code of a process that has closed its channel; None if it goes on."""
        if self._control is None:
            return None
        try:
            self._control.send(FindEnd(number=number))
            # Twice the time that the server takes: one that hangs is not waited for.
            while select.select([self._control], [], [], 2 * _EXIT_SECONDS)[0]:
                body, _ = self._control.receive()
                ended = WorkerEnded.model_validate_json(body)
                if ended.number == number:  # else it is a late answer to an earlier order
                    return ended.code
        except EOFError:
            pass
        return None

    def close(self) -> None:
        """End the server and all of its processes."""
        process, control = self._process, self._control
        self._process = self._control = None
        if process is None or control is None:
            return
        control.close()
        if not has_ended(process, _END_SECONDS):
            # One of its own is in uninterruptible sleep, as on a dead network disk.
            process.kill()

    def _connected(self) -> Channel:
        if self._control is None:
            self._control, theirs = Channel.pair()
            with theirs:  # the server has its copy; ours must close, or its death gave no EOF
                self._process = start_worker(
                    [*self._command, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    environment=sandbox.environment(),
                )
        return self._control


def command(module: str) -> list[str]:
    """Return the command that runs a module as a fork server."""
    return [sys.executable, "-P", "-m", module]


def serve(control: Channel, work: Callable[[Channel], None]) -> None:
    """Fork a process for each order until the other end of the channel is closed; then kill all.

    Args:
        control: the channel to the `ForkServer`.
        work: called in each process with its channel; the process ends when it returns.
    """
    # Forked processes share the memory that nobody writes to, as the collector would.
    gc.collect()
    gc.freeze()
    workers: dict[int, int] = {}
    killed: set[int] = set()
    while True:
        try:
            body, file = control.receive()
        except EOFError:
            break
        order = _ORDERS.validate_json(body)
        if isinstance(order, StartWorker):
            assert file is not None
            workers[order.number] = _fork(control, file, work)
        elif isinstance(order, FindEnd):
            code = _end_of(workers, order.number)
            control.send(WorkerEnded(number=order.number, code=code))
        elif (worker := workers.pop(order.number, None)) is not None:
            # Nobody has waited for it: the number is still its own, even if it has ended.
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
        killed = {worker for worker in killed if os.waitpid(worker, os.WNOHANG) == (0, 0)}
    for worker in workers.values():
        os.kill(worker, signal.SIGKILL)
    left = _left_of([*killed, *workers.values()])
    if left:
        sys.stderr.write(visible(f"warning: {unkillable.described(left)}\n"))


def _left_of(killed: list[int]) -> list[int]:
    """Wait for the ends of killed processes; return those that cannot be killed."""
    deadline = time.monotonic() + unkillable.KILL_SECONDS
    while killed and time.monotonic() < deadline:
        killed = [worker for worker in killed if os.waitpid(worker, os.WNOHANG) == (0, 0)]
        time.sleep(_POLL)
    return killed


def _end_of(workers: dict[int, int], number: int) -> int | None:
    """Return the exit code of a process, which may be about to end; None if it goes on."""
    if number not in workers:
        return None
    deadline = time.monotonic() + _EXIT_SECONDS
    while time.monotonic() < deadline:
        process, status = os.waitpid(workers[number], os.WNOHANG)
        if process:
            del workers[number]
            return shell_code(os.waitstatus_to_exitcode(status))
        time.sleep(_POLL)
    return None


def _fork(control: Channel, file: int, work: Callable[[Channel], None]) -> int:
    process = privileges.fork()
    if process:
        os.close(file)
        return process
    code = 1
    try:
        # With this channel it could have its siblings killed.
        control.close()
        work(Channel.inherited(file))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Without the exit handlers and the buffers, which are the server's.
        os._exit(code)

"""Child processes: started from argument lists, never a shell, and none outlives this process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, Self

from dsk.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_POLL: Final = 0.2  # seconds between two calls while a program prints nothing
_KILL_AT: Final = 3

# Reads the process group's number, then blocks until its pipe closes, which the kernel does even
# if this process is killed with SIGKILL. Then SIGTERM, ten seconds to exit, SIGKILL, and at last
# the command given as arguments, if there is one.
_GUARD: Final = """
read -r group || exit 0
read -r _
if kill -s TERM -- "-$group" 2>/dev/null; then
  left=100
  while [ "$left" -gt 0 ] && kill -s 0 -- "-$group" 2>/dev/null; do
    sleep 0.1
    left=$((left - 1))
  done
  kill -s KILL -- "-$group" 2>/dev/null
fi
[ "$#" -eq 0 ] || "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The exit code (128 + n for signal n, as in a shell) and output of a finished program."""

    code: int
    stdout: str
    stderr: str


def find(program: str, *, do: str) -> str:
    """Return a program's path, searched as the user's shell would.

    Args:
        program: a name on PATH or a path.
        do: advice in the error if there is none.

    Raises:
        EngineMissing: there is no such program.
    """
    path = shutil.which(program)
    if path is None:
        msg = f"there is no program '{program}' on this machine"
        raise EngineMissing(msg, do=do)
    return path


def capture(
    arguments: Sequence[str | Path],
    *,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Finished:
    """Run a program to its end and return its output.

    Args:
        arguments: the program and its arguments.
        seconds: the time limit.
        environment: the whole environment; ours when not given.
        folder: where the program runs.

    Raises:
        EngineMissing: the program is missing or did not end in time.
    """
    try:
        ended = subprocess.run(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=environment,
            cwd=folder,
            check=False,
            preexec_fn=_die_with_parent(),
        )
    except OSError as error:
        raise _start_error(arguments, error) from error
    except subprocess.TimeoutExpired as error:
        what = f"'{arguments[0]}' did not finish within {seconds:g} s"
        raise EngineMissing(what) from error
    return Finished(code=_shell_code(ended.returncode), stdout=ended.stdout, stderr=ended.stderr)


def follow(
    arguments: Sequence[str | Path],
    on_line: Callable[[str | None], None],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> int:
    """Run a program to its end and pass each line of its stdout and stderr to a callback.

    The program is killed when this process dies, however it dies.

    Args:
        arguments: the program and its arguments.
        on_line: called with each line, without its end, and with None while nothing is printed,
            so that the caller can check for something else.
        environment: the whole environment; ours when not given.
        folder: where the program runs.

    Returns:
        Its exit code, 128 + n for signal n.

    Raises:
        EngineMissing: the program is missing.
    """
    try:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            cwd=folder,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 it only calls prctl and getppid
        )
    except OSError as error:
        raise _start_error(arguments, error) from error
    try:
        _relay(process, on_line)
        return _shell_code(process.wait())
    finally:
        # Reached also when the callback raises; on a program that has ended kill does nothing.
        process.kill()
        process.wait()


def worker(arguments: Sequence[str | Path], *, pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a program that communicates over inherited descriptors; it dies with this process.

    It prints to this process's standard error. The caller ends it.
    """
    # It stays in our process group: a signal to the group reaches it too.
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=2,
        pass_fds=pass_fds,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509 it only calls prctl and getppid
    )


def _relay(process: subprocess.Popen[str], on_line: Callable[[str | None], None]) -> None:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None
    stream = process.stdout

    def read() -> None:
        with stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    # A thread, since a buffered read from a pipe has no time limit.
    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_POLL)
        except queue.Empty:
            on_line(None)
            continue
        if line is None:
            return
        on_line(line.rstrip("\n"))


class Child:
    """A program in its own process group, which is ended, descendants and all, when we end.

    A context manager: leaving it ends the program.

    While it runs, SIGINT, SIGTERM and SIGHUP are forwarded to it, each once, instead of ending
    this process; the third Ctrl-C kills it. ``stop_requested`` is True after any of them.

    Args:
        arguments: the program and its arguments.
        environment: the whole environment; ours when not given.
        stdin: as `subprocess.Popen` takes it; inherited when not given.
        stdout: likewise.
        stderr: likewise.
        afterwards: a command that runs when the program has ended, even if this process is killed.
        pass_fds: descriptors that it inherits.
        forward_signals: False if the caller handles signals itself.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
        afterwards: Sequence[str | Path] = (),
        pass_fds: Sequence[int] = (),
        forward_signals: bool = True,
    ) -> None:
        # The guard, a small shell in a session of its own, holds the read end of a pipe whose write
        # end only we keep open: however we end, it then ends the group. PR_SET_PDEATHSIG would
        # reach the program alone, not its descendants.
        end_of_guard, self._lifeline = os.pipe()
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", *map(str, afterwards)],
                stdin=end_of_guard,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(end_of_guard)
        lifeline = self._lifeline
        self._interrupts = 0
        self._pending: list[int] = []
        self.stop_requested = False
        if forward_signals:
            _forwarded.add(self)
        try:
            self.process = subprocess.Popen(
                [str(argument) for argument in arguments],
                env=environment,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
                # A terminal sends Ctrl-C to its foreground group: the child in a group of its own
                # gets it once, from us.
                process_group=0,
                pass_fds=pass_fds,
                # The child itself reports its group, before it becomes the program: there is no
                # moment at which a kill of ours would leave it running.
                preexec_fn=lambda: os.write(lifeline, b"%d\n" % os.getpid()),  # noqa: PLW1509
            )
        except OSError as error:
            self._release()
            raise _start_error(arguments, error) from error
        for number in self._pending:
            self.process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def wait(self) -> int:
        """Wait for the program's end, then end what it left running.

        Returns:
            Its exit code, 128 + n for signal n.
        """
        code = self.process.wait()
        self._release()
        return _shell_code(code)

    def end(self) -> None:
        """End the program and its descendants: SIGTERM, then SIGKILL after ten seconds."""
        self._close_lifeline()
        self.process.wait()
        self._release()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def forward(self, number: int) -> None:
        """Send a signal on to the program; at the third Ctrl-C kill its group."""
        self.stop_requested = True
        self._interrupts += number == signal.SIGINT
        # Between the handlers' installation and Popen's return there is no process yet.
        if not hasattr(self, "process"):
            self._pending.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            if self._interrupts >= _KILL_AT:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.send_signal(number)

    def _close_lifeline(self) -> None:
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)

    def _release(self) -> None:
        self._close_lifeline()
        self._guard.wait()
        _forwarded.discard(self)


class _SignalForwarding:
    """The children that signals are forwarded to; its handlers are set while there is one."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._before: dict[int, Any] = {}

    def add(self, child: Child) -> None:
        """Add a child, and set the handlers if it is the first."""
        self._children.append(child)
        # Python lets only the main thread set handlers; elsewhere signals are not forwarded.
        if threading.current_thread() is threading.main_thread() and not self._before:
            numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            self._before = {number: signal.signal(number, self._handle) for number in numbers}

    def discard(self, child: Child) -> None:
        """Remove a child; after the last one restore the previous handlers."""
        if child in self._children:
            self._children.remove(child)
        if threading.current_thread() is threading.main_thread() and not self._children:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before = {}

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        for child in list(self._children):
            child.forward(number)


_forwarded: Final = _SignalForwarding()


def _die_with_parent() -> Callable[[], None]:
    """Return a preexec function that has the kernel kill the child when this process dies."""
    # Looked up here: after the fork, in a process with threads, loading a library could deadlock.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def request_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        # The parent may have died between the fork and prctl; then no signal would ever come.
        if os.getppid() != parent:
            os._exit(1)

    return request_death_signal


def _shell_code(code: int) -> int:
    return 128 - code if code < 0 else code


def _start_error(arguments: Sequence[str | Path], error: OSError) -> EngineMissing:
    return EngineMissing(
        f"'{arguments[0]}' cannot be started ({error.strerror})",
        do="install it, or put it on PATH",
    )

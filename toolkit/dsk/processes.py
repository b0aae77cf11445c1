"""The one place that starts other programs: argument lists, no shell, nothing left behind."""

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
_SILENCE: Final = 0.2  # seconds between two looks at a program that prints nothing
_PRESSES_BEFORE_KILL: Final = 3

# It reads the group's number, then waits for its other end to close, which the kernel does for us
# even when we are killed. Ten seconds to leave in good order, then the hard way; last of all the
# command that it was given, if there is one.
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
    """A program that has ended: its exit code (128 + n for signal n, as in a shell) and output."""

    code: int
    stdout: str
    stderr: str


def find(program: str, *, do: str) -> str:
    """The program's path, searched as the user's shell would.

    Args:
        program: a name on PATH or a path.
        do: what the error tells the user to do when there is none.

    Raises:
        EngineMissing: there is no such program.
    """
    found = shutil.which(program)
    if found is None:
        msg = f"there is no program '{program}' on this machine"
        raise EngineMissing(msg, do=do)
    return found


def capture(
    arguments: Sequence[str | Path],
    *,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Finished:
    """Run a program to its end and keep what it says.

    Args:
        arguments: the program and its arguments.
        seconds: how long it may take.
        environment: the whole environment; ours when not given.
        folder: where the program runs.

    Raises:
        EngineMissing: the program is missing or did not end in time.
    """
    try:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=environment,
            cwd=folder,
            check=False,
            preexec_fn=_ending_with_us(),
        )
    except OSError as error:
        raise _not_started(arguments, error) from error
    except subprocess.TimeoutExpired as error:
        what = f"'{arguments[0]}' gave no answer in {seconds:g} s"
        raise EngineMissing(what) from error
    return Finished(code=_as_a_shell(done.returncode), stdout=done.stdout, stderr=done.stderr)


def follow(
    arguments: Sequence[str | Path],
    heard: Callable[[str | None], None],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> int:
    """Run a program to its end and pass on each line that it prints, on either stream, as it comes.

    The program dies with us, even if we are killed.

    Args:
        arguments: the program and its arguments.
        heard: called with each line, without its end, and with None now and then in a silence.
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
            preexec_fn=_ending_with_us(),  # noqa: PLW1509 it only calls prctl and getppid
        )
    except OSError as error:
        raise _not_started(arguments, error) from error
    try:
        _relay(process, heard)
        return _as_a_shell(process.wait())
    finally:
        process.kill()
        process.wait()


def worker(arguments: Sequence[str | Path], *, pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a program that is talked to over descriptors it inherits; it dies with us.

    It stays in our process group, so that what ends us ends it. What it prints goes to our
    standard error. The caller ends it.
    """
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=2,
        pass_fds=pass_fds,
        preexec_fn=_ending_with_us(),  # noqa: PLW1509 it only calls prctl and getppid
    )


def _relay(process: subprocess.Popen[str], heard: Callable[[str | None], None]) -> None:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None
    stream = process.stdout

    def read() -> None:
        with stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_SILENCE)
        except queue.Empty:
            heard(None)
            continue
        if line is None:
            return
        heard(line.rstrip("\n"))


class Child:
    """A program in a process group of its own, that ends, with all it started, when we do.

    A guard, one small shell, holds the other end of a pipe that only we keep open: however we
    end, it ends the group. A context manager: leaving it ends the program.

    From its beginning to its end Ctrl-C and requests to end are passed on to it, each once, and
    do not end us; the third Ctrl-C kills it. ``asked_to_end`` says whether there was one.

    Args:
        arguments: the program and its arguments.
        environment: the whole environment; ours when not given.
        stdin: as `subprocess.Popen` takes it; inherited when not given.
        stdout: likewise.
        stderr: likewise.
        afterwards: a command that the guard runs when the program has ended, however it or we did.
        pass_fds: descriptors of ours that it inherits.
        hears_signals: whether Ctrl-C and requests to end are passed on to it; where not, they are
            the caller's to handle.
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
        hears_signals: bool = True,
    ) -> None:
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
        self._presses = 0
        self._asked: list[int] = []
        self.asked_to_end = False
        if hears_signals:
            _forwarded.add(self)
        try:
            self.process = subprocess.Popen(
                [str(argument) for argument in arguments],
                env=environment,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
                process_group=0,
                pass_fds=pass_fds,
                # Before the program begins: there is no moment at which nobody would end it.
                preexec_fn=lambda: os.write(lifeline, b"%d\n" % os.getpid()),  # noqa: PLW1509
            )
        except OSError as error:
            self._let_go()
            raise _not_started(arguments, error) from error
        for number in self._asked:
            self.process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def wait(self) -> int:
        """Wait for the program's end, and end what it left running.

        Returns:
            Its exit code, 128 + n for signal n.
        """
        code = self.process.wait()
        self._let_go()
        return _as_a_shell(code)

    def end(self) -> None:
        """End the program and all that it started, in good order if they can within ten seconds."""
        self._close_lifeline()
        self.process.wait()
        self._let_go()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def pass_on(self, number: int) -> None:
        """Pass a signal on to the program, or kill its group at the third Ctrl-C."""
        self.asked_to_end = True
        self._presses += number == signal.SIGINT
        if not hasattr(self, "process"):
            self._asked.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            if self._presses >= _PRESSES_BEFORE_KILL:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.send_signal(number)

    def _close_lifeline(self) -> None:
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)

    def _let_go(self) -> None:
        self._close_lifeline()
        self._guard.wait()
        _forwarded.discard(self)


class _Forwarded:
    """The children that signals are passed on to; our handlers stand while there is one."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._before: dict[int, Any] = {}

    def add(self, child: Child) -> None:
        """Take a child in. Only the main thread can set handlers: elsewhere none are set."""
        self._children.append(child)
        if threading.current_thread() is threading.main_thread() and not self._before:
            numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            self._before = {number: signal.signal(number, self._handle) for number in numbers}

    def discard(self, child: Child) -> None:
        """Let a child go; after the last one the handlers are as they were."""
        if child in self._children:
            self._children.remove(child)
        if threading.current_thread() is threading.main_thread() and not self._children:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before = {}

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        for child in list(self._children):
            child.pass_on(number)


_forwarded: Final = _Forwarded()


def _ending_with_us() -> Callable[[], None]:
    """What the child does before it becomes the program: ask the kernel to end it with us."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _as_a_shell(code: int) -> int:
    return 128 - code if code < 0 else code


def _not_started(arguments: Sequence[str | Path], error: OSError) -> EngineMissing:
    return EngineMissing(
        f"'{arguments[0]}' cannot be started ({error.strerror})",
        do="install it, or put it on PATH",
    )

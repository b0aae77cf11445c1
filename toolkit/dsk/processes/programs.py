"""Programs that are run to their end, and workers; none of them outlives this process."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk import own_image
from dsk.control_characters import visible
from dsk.errors import EngineMissing
from dsk.processes import output, unkillable
from dsk.processes.exit_status import shell_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_POLL: Final = 0.2  # seconds between two calls while a program prints nothing


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
        if own_image.around():  # what is installed in a container is gone with it
            do = "run this dsk command on the machine itself, not in an image's container"
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
    process = _start(arguments, subprocess.PIPE, environment, folder)
    # Not `subprocess.run`: past its time limit that waits for the program's end without one.
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        what = f"'{arguments[0]}' did not finish within {seconds:g} s"
        raise EngineMissing(what, do=_killed(process)) from error
    except BaseException:
        _killed(process)
        raise
    return Finished(code=shell_code(process.returncode), stdout=stdout, stderr=stderr)


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
    process = _start(arguments, subprocess.STDOUT, environment, folder)
    try:
        for line in output.lines(process):
            on_line(line)
        while process.poll() is None:  # it has closed its output and goes on
            on_line(None)
            time.sleep(_POLL)
        return shell_code(process.returncode)
    finally:
        # Reached also when the callback raises; on a program that has ended kill does nothing.
        if advice := _killed(process):
            sys.stderr.write(visible(f"warning: {advice}\n"))


def worker(
    arguments: Sequence[str | Path], *, pass_fds: Sequence[int], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program that communicates over inherited descriptors; it dies with this process.

    It prints to this process's standard error. The caller ends it.
    """
    # It stays in our process group: a signal to the group reaches it too.
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=2,
        env=environment,
        pass_fds=pass_fds,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509 it only calls prctl and getppid
    )


def _start(
    arguments: Sequence[str | Path],
    stderr: int,
    environment: Mapping[str, str] | None,
    folder: Path | None,
) -> subprocess.Popen[str]:
    """Start a program whose output this process reads.

    Raises:
        EngineMissing: the system does not start it.
    """
    try:
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            env=environment,
            cwd=folder,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 it only calls prctl and getppid
        )
    except OSError as error:
        raise start_error(arguments, error) from error


def _killed(process: subprocess.Popen[str]) -> str:
    """Kill a program and close its output; return advice if it cannot be killed, or nothing."""
    process.kill()
    advice = ""
    if not unkillable.has_ended(process, unkillable.KILL_SECONDS):
        advice = unkillable.described([process.pid])
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return advice


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


def start_error(arguments: Sequence[str | Path], error: OSError) -> EngineMissing:
    """Return the error for a program that the system does not start."""
    return EngineMissing(
        f"'{arguments[0]}' cannot be started ({error.strerror})",
        do="install it, or put it on PATH",
    )

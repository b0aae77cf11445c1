"""A program in a process group of its own, which ends with this process, descendants and all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Final, Self

from dsk.control_characters import visible
from dsk.processes import oom, unkillable
from dsk.processes.exit_status import described, shell_code
from dsk.processes.programs import start_error
from dsk.processes.signals import SignalForwarding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_KILL_AT: Final = 3  # the Ctrl-C that kills
_GUARD_SECONDS: Final = 10.0  # from its SIGTERM to its SIGKILL, see below
# Seconds for the command after the end; `docker rm`, the only one, gets 30 of its own.
_AFTERWARDS_SECONDS: Final = 40.0
# Seconds from the end of a program's messages to its own: while it exits, Python writes a traceback
# and the kernel frees its memory.
_EXIT_SECONDS: Final = 2.0

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


class Child:
    """A program in its own process group, which is ended, descendants and all, when we end.

    A context manager: leaving it ends the program.

    While it runs, SIGINT, SIGTERM and SIGHUP are forwarded to it, each once, instead of ending
    this process; the third Ctrl-C kills it, and the fourth ends the waiting for one that cannot be
    killed. ``stop_requested`` is True after any of them.

    Args:
        arguments: the program and its arguments.
        environment: the whole environment; ours when not given.
        stdin: as `subprocess.Popen` takes it; inherited when not given.
        stdout: likewise.
        stderr: likewise.
        afterwards: a command that runs when the program has ended, even if this process is killed.
        pass_fds: descriptors that it inherits.
        forward_signals: False if the caller handles signals itself.
        was_out_of_memory: asks, after the end, whether the kernel's out-of-memory killer ended it;
            for a program that runs in another control group than ours.
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
        was_out_of_memory: Callable[[], bool] | None = None,
    ) -> None:
        # The guard, a small shell in a session of its own, holds the read end of a pipe whose write
        # end only we keep open: however we end, it then ends the group. PR_SET_PDEATHSIG would
        # reach the program alone, not its descendants.
        end_of_guard, self._lifeline = os.pipe()
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", *map(str, afterwards)],
                # It outlives us, and needs none of our keys unless docker does.
                env=None if afterwards else {"PATH": os.defpath},
                stdin=end_of_guard,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(end_of_guard)
        lifeline = self._lifeline
        self._afterwards = tuple(afterwards)
        self._was_out_of_memory = was_out_of_memory
        self._oom_before = oom.counts()
        self.unkillable: tuple[int, ...] = ()
        """Process ids of what was left when it was ended."""
        self._is_released = False
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
                encoding="utf-8",
                errors="replace",
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
            raise start_error(arguments, error) from error
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
        return shell_code(code)

    def end(self) -> None:
        """End the program and its descendants: SIGTERM, then SIGKILL after ten seconds.

        What cannot be killed is named on stderr and in ``unkillable``, and not waited for.
        """
        self._close_lifeline()
        unkillable.has_ended(self.process, _GUARD_SECONDS + unkillable.KILL_SECONDS)
        self._release()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def exit_code(self) -> int | None:
        """Return the exit code of a program that has ended or is about to; None if it goes on."""
        # Its last sign of life comes before its exit status: who ends it at once sees SIGTERM, not
        # the signal that it died of.
        if not unkillable.has_ended(self.process, _EXIT_SECONDS):
            return None
        return shell_code(self.process.returncode)

    def described_end(self) -> str:
        """Return the status of a program that has ended, with its signal and the usual cause."""
        verdict = oom.since(self._oom_before, oom.counts())
        if self._was_out_of_memory is not None and self._was_out_of_memory():
            verdict = "killed"
        return described(shell_code(self.process.returncode), verdict)

    def forward(self, number: int) -> None:
        """Send a signal on to the program; at the third Ctrl-C kill its group.

        Raises:
            KeyboardInterrupt: it is the fourth.
        """
        self.stop_requested = True
        self._interrupts += number == signal.SIGINT
        # Between the handlers' installation and Popen's return there is no process yet.
        if not hasattr(self, "process"):
            self._pending.append(number)
            return
        if self._interrupts > _KILL_AT:
            # It could not be killed: its end is not waited for any longer.
            raise KeyboardInterrupt
        with contextlib.suppress(ProcessLookupError):
            if self._interrupts == _KILL_AT:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.send_signal(number)

    def _close_lifeline(self) -> None:
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)

    def _release(self) -> None:
        """Let the guard end what is left; name what cannot be ended."""
        self._close_lifeline()
        _forwarded.discard(self)
        if self._is_released:
            return
        self._is_released = True
        if not unkillable.has_ended(self._guard, _GUARD_SECONDS + _AFTERWARDS_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            unkillable.has_ended(self._guard, unkillable.KILL_SECONDS)
            command = " ".join(map(str, self._afterwards))
            sys.stderr.write(visible(f"warning: '{command}' did not finish: run it again\n"))
        if hasattr(self, "process"):
            # One that `end` has waited for in vain is not waited for again.
            seconds = 0 if self.process.returncode is None else unkillable.KILL_SECONDS
            self.unkillable = unkillable.left_of(self.process.pid, seconds)
        if self.unkillable:
            sys.stderr.write(visible(f"warning: {unkillable.described(self.unkillable)}\n"))


_forwarded: Final = SignalForwarding()

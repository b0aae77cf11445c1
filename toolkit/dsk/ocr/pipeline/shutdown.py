"""Signals that ask a run to end, as a state that the scheduler's loop can poll and wait for."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final, Self

from dsk.ocr.schema.events import Stopping

if TYPE_CHECKING:
    from types import FrameType

    from dsk.ocr.schema.events import Listener

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Seconds from SIGTERM to an immediate end. Docker, and the guard in `dsk.processes`, send SIGKILL
# ten seconds after SIGTERM: the other five are for closing the ledgers and the engines.
_GRACE_SECONDS: Final = 5.0


class ShutdownRequest:
    """Request by the user to end the run. A context manager: it handles signals inside.

    The first Ctrl-C asks to start nothing more and to finish the pages in the engine, the second
    to end at once. SIGTERM and SIGHUP ask for the first, and for the second after 5 seconds.
    """

    def __init__(self) -> None:
        # The self-pipe trick: Python restarts an interrupted `select`, so a flag alone would be
        # seen only when its timeout is over. A byte in a pipe ends it at once.
        self._read_end, self._write_end = os.pipe()
        # Neither end may block: a full pipe would hang the signal handler, an empty one the loop.
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._interrupts = 0
        self._deadline = float("inf")
        self._announced: bool | None = None
        self.requested = False

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.close(self._read_end)
        os.close(self._write_end)

    @property
    def descriptor(self) -> int:
        """Descriptor for `select`: readable after a signal."""
        return self._read_end

    @property
    def immediate(self) -> bool:
        """True if the pages in the engine are not to be waited for either."""
        return self._interrupts > 1 or time.monotonic() >= self._deadline

    def announce(self, emit: Listener, reading: int) -> None:
        """Emit that the run is ending, and again when the pages in the engine are given up.

        Args:
            emit: called with the event.
            reading: pages in the engine.
        """
        # Read once: a signal may come between.
        immediate = self.immediate
        if self._announced != immediate:
            self._announced = immediate
            emit(Stopping(reading=reading, immediate=immediate))

    def acknowledge(self) -> None:
        """Empty the pipe, so that the next `select` waits again."""
        try:
            os.read(self._read_end, 64)
        except BlockingIOError:
            return

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGINT:
            self._interrupts += 1
        else:
            self._deadline = min(self._deadline, time.monotonic() + _GRACE_SECONDS)
        os.write(self._write_end, b"!")

"""Ctrl-C and requests to end, as something that a loop can wait for and ask about."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import FrameType

_PATIENCE: Final = 5.0
"""Seconds from a request to end until the end; whoever asks kills after ten. Ctrl-C can wait."""


class ShutdownRequest:
    """Whether the user wants the run to end. A context manager: it hears signals inside.

    The first Ctrl-C asks to begin nothing more and finish what is under way, the second to end at
    once. A request to end (SIGTERM, SIGHUP) asks for the first, and for the second after 5 s.
    """

    def __init__(self) -> None:
        self._wakes, self._woken = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(self._woken, False)
        self._presses = 0
        self._until = float("inf")
        self.requested = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._wakes)
        os.close(self._woken)

    @property
    def descriptor(self) -> int:
        """For `select`: something can be read from it when there was a signal."""
        return self._wakes

    @property
    def immediate(self) -> bool:
        """Whether not even what is under way is to be waited for."""
        return self._presses > 1 or time.monotonic() >= self._until

    def acknowledge(self) -> None:
        """Take note that the loop has woken."""
        try:
            os.read(self._wakes, 64)
        except BlockingIOError:
            return

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGINT:
            self._presses += 1
        else:
            self._until = min(self._until, time.monotonic() + _PATIENCE)
        os.write(self._woken, b"!")

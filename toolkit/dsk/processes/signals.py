"""Signals to this process, passed on to the programs that it has started."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from types import FrameType

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalTarget(Protocol):
    """Program that signals are passed on to."""

    def forward(self, number: int) -> None:
        """Pass a signal on."""


class SignalForwarding:
    """The programs that signals are passed on to; its handlers are set while there is one."""

    def __init__(self) -> None:
        self._targets: list[SignalTarget] = []
        self._before: dict[int, Any] = {}

    def add(self, target: SignalTarget) -> None:
        """Add a program, and set the handlers if it is the first."""
        self._targets.append(target)
        # Python lets only the main thread set handlers; elsewhere signals are not passed on.
        if threading.current_thread() is threading.main_thread() and not self._before:
            self._before = {number: signal.signal(number, self._handle) for number in _NUMBERS}

    def discard(self, target: SignalTarget) -> None:
        """Remove a program; after the last one restore the previous handlers."""
        if target in self._targets:
            self._targets.remove(target)
        if threading.current_thread() is threading.main_thread() and not self._targets:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before = {}

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        for target in list(self._targets):
            target.forward(number)

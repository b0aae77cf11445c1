"""What a machine is doing while something is measured: its GPU, and our processes' memory."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL: Final = 0.25
_PAGE: Final = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True)
class Sample:
    """One look.

    Args:
        at: in `time.time` seconds.
        host: bytes in memory of all that this process has started; pages shared count each time.
        card: bytes in use of the first GPU, 0 without one.
        busy: whether it computed, as NVML says, in percent of the time since its last look; None
            where there is no GPU, or none that says so.
    """

    at: float
    host: int
    card: int
    busy: int | None


class Watch:
    """Looks four times a second. A context manager: leaving it ends that."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def peak(self) -> dict[str, int]:
        """The most bytes that were seen, of the host's memory and of the card's."""
        return {
            "host_bytes": max((one.host for one in self.samples), default=0),
            "card_bytes": max((one.card for one in self.samples), default=0),
        }

    def busy(self, began: float, ended: float) -> float | None:
        """The share of a time that the GPU computed in, 0 to 1; None where nothing says so."""
        during = [one.busy for one in self.samples if began <= one.at <= ended]
        known = [busy for busy in during if busy is not None]
        return sum(known) / len(known) / 100 if known else None

    def _look(self) -> None:
        card = _card()
        while not self._ended.wait(_INTERVAL):
            used, busy = card() if card else (0, None)
            self.samples.append(Sample(time.time(), _memory(), used, busy))


def _memory() -> int:
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            number = int(process.name)
            after_name = (process / "stat").read_text().rpartition(")")[2].split()
            parents[number] = int(after_name[1])
            sizes[number] = _PAGE * int((process / "statm").read_text().split()[1])
    ours = {os.getpid()}
    found = True
    while found:
        below = {one for one, parent in parents.items() if parent in ours} - ours
        ours |= below
        found = bool(below)
    return sum(sizes.get(one, 0) for one in ours)


def _card() -> Callable[[], tuple[int, int | None]] | None:
    """Asks the first GPU for its bytes in use and its percent busy; None without one."""
    from dsk.host.nvml_client import has_library

    if not has_library():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError:  # the library is there, and no driver
        return None

    def look() -> tuple[int, int | None]:
        used, busy = 0, None
        with contextlib.suppress(pynvml.NVMLError):
            used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
            busy = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)  # a slice says nothing
        return used, busy

    return look

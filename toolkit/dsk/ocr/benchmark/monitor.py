"""Monitor the first GPU and the memory of our processes while something is measured."""

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

# Seconds.
_INTERVAL: Final = 0.25
_PAGE_SIZE: Final = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True)
class Sample:
    """The state at one moment.

    Args:
        at: in `time.time` seconds.
        host: resident bytes of this process and all below it; shared memory counts in each.
        card: bytes in use of the first GPU; 0 without one.
        busy: utilization of the first GPU as NVML reports it, in percent; None without a GPU, or
            where it reports none.
    """

    at: float
    host: int
    card: int
    busy: int | None


class Monitor:
    """Takes a sample four times a second, in a thread. A context manager that stops it."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def peak(self) -> dict[str, int]:
        """Return the peak memory in bytes, of the host and of the GPU."""
        return {
            "host_bytes": max((sample.host for sample in self.samples), default=0),
            "card_bytes": max((sample.card for sample in self.samples), default=0),
        }

    def busy(self, began: float, ended: float) -> float | None:
        """Return the GPU's mean utilization in a period, 0 to 1; None if it is not known."""
        samples = [sample for sample in self.samples if began <= sample.at <= ended]
        known = [sample.busy for sample in samples if sample.busy is not None]
        return sum(known) / len(known) / 100 if known else None

    def _sample(self) -> None:
        read_gpu = _gpu_reader()
        while not self._ended.wait(_INTERVAL):
            used, busy = read_gpu() if read_gpu else (0, None)
            # Wall-clock time: the baseline's phases are timed in another process.
            self.samples.append(Sample(time.time(), _resident_memory(), used, busy))


def _resident_memory() -> int:
    """Return the resident bytes of this process and all below it."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end while it is looked at.
        with contextlib.suppress(OSError, IndexError, ValueError):
            number = int(process.name)
            # The name, in brackets, may hold spaces and brackets of its own.
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            parents[number] = int(fields[1])
            sizes[number] = _PAGE_SIZE * int((process / "statm").read_text().split()[1])
    ours = {os.getpid()}
    children = {os.getpid()}
    while children:
        children = {child for child, parent in parents.items() if parent in ours} - ours
        ours |= children
    return sum(sizes.get(number, 0) for number in ours)


def _gpu_reader() -> Callable[[], tuple[int, int | None]] | None:
    """Return a function that reads the first GPU's used bytes and utilization; None without one."""
    from dsk.host.nvml_client import has_library

    if not has_library():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError:  # the library without a driver
        return None

    def read() -> tuple[int, int | None]:
        used, busy = 0, None
        with contextlib.suppress(pynvml.NVMLError):
            used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
            # A MIG instance reports no utilization: the error leaves it None.
            busy = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        return used, busy

    return read

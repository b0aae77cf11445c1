"""Monitor the GPUs and the memory of our processes while something is measured."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Seconds.
_INTERVAL: Final = 0.25
_PAGE_SIZE: Final = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True)
class CardSample:
    """The state of one GPU.

    Args:
        used: bytes in use.
        busy: utilization as NVML reports it, in percent; None where it reports none.
    """

    used: int
    busy: int | None


@dataclass(frozen=True)
class Sample:
    """The state at one moment.

    Args:
        at: in `time.time` seconds.
        host: resident bytes of this process and all below it; shared memory counts in each.
        cards: the GPUs, in the order of their numbers.
    """

    at: float
    host: int
    cards: tuple[CardSample, ...] = ()


class Monitor:
    """Takes a sample four times a second, in a thread. A context manager that stops it.

    Args:
        numbers: the GPUs to watch, by their numbers in PCI order; None for all.
    """

    def __init__(self, numbers: Sequence[int] | None = None) -> None:
        self._numbers = numbers
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
        """Return the peak memory in bytes, of the host and of the GPU that used most."""
        return {
            "host_bytes": max((sample.host for sample in self.samples), default=0),
            "card_bytes": max(self.peaks_by_card(), default=0),
        }

    def peaks_by_card(self) -> list[int]:
        """Return the peak memory of each GPU in bytes."""
        by_card = zip(*(sample.cards for sample in self.samples if sample.cards), strict=True)
        return [max(card.used for card in samples) for samples in by_card]

    def busy(self, began: float, ended: float) -> float | None:
        """Return the GPUs' mean utilization in a period, 0 to 1; None if it is not known."""
        known = [share for share in self.busy_by_card(began, ended) if share is not None]
        return sum(known) / len(known) if known else None

    def busy_by_card(self, began: float, ended: float) -> list[float | None]:
        """Return the mean utilization of each GPU in a period, 0 to 1; None if not known."""
        within = [sample.cards for sample in self.samples if began <= sample.at <= ended]
        return [_mean_busy(samples) for samples in zip(*filter(None, within), strict=True)]

    def _sample(self) -> None:
        read_gpus = _gpu_reader(self._numbers)
        while not self._ended.wait(_INTERVAL):
            cards = read_gpus() if read_gpus else ()
            # Wall-clock time: the baseline's phases are timed in another process.
            self.samples.append(Sample(time.time(), _resident_memory(), cards))


def _mean_busy(samples: Sequence[CardSample]) -> float | None:
    known = [sample.busy for sample in samples if sample.busy is not None]
    return sum(known) / len(known) / 100 if known else None


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


def _gpu_reader(numbers: Sequence[int] | None) -> Callable[[], tuple[CardSample, ...]] | None:
    """Return a function that reads the GPUs' memory and utilization; None without any.

    Args:
        numbers: as NVML counts them; None for all.
    """
    from dsk.host.nvml_client import has_library

    if not has_library():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        wanted = range(pynvml.nvmlDeviceGetCount()) if numbers is None else numbers
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in wanted]
    except pynvml.NVMLError:  # the library without a driver
        return None

    def read(handle: object) -> CardSample:
        used, busy = 0, None
        with contextlib.suppress(pynvml.NVMLError):
            used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
            # A MIG instance reports no utilization: the error leaves it None.
            busy = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        return CardSample(used, busy)

    return lambda: tuple(read(handle) for handle in handles)

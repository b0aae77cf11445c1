"""What is watched while something is measured: our memory, and the GPU where there is one."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dsk.ocr.benchmark.monitor import CardSample, Monitor, Sample


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """NVML's library is there."""
    monkeypatch.setattr("dsk.host.nvml_client.has_library", lambda: True)
    return monkeypatch


def refuses(*_: Any) -> Any:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)


def monitored(numbers: list[int] | None = None) -> Monitor:
    with Monitor(numbers) as monitor:
        while not monitor.samples and monitor._thread.is_alive():
            time.sleep(0.01)
    return monitor


def test_a_library_without_a_driver_is_no_gpu_and_memory_is_watched(
    library: pytest.MonkeyPatch,
) -> None:
    library.setattr("pynvml.nvmlInit", refuses)
    monitor = monitored()
    assert monitor.peak()["host_bytes"] > 0
    assert monitor.peak()["card_bytes"] == 0
    assert monitor.busy(0, time.time()) is None


def test_a_card_that_does_not_say_how_busy_it_is_says_how_full(
    library: pytest.MonkeyPatch,
) -> None:
    library.setattr("pynvml.nvmlInit", lambda: None)
    library.setattr("pynvml.nvmlDeviceGetCount", lambda: 1)
    library.setattr("pynvml.nvmlDeviceGetHandleByIndex", lambda _: None)
    library.setattr("pynvml.nvmlDeviceGetMemoryInfo", lambda _: SimpleNamespace(used=7))
    library.setattr("pynvml.nvmlDeviceGetUtilizationRates", refuses)
    monitor = monitored()
    assert monitor.peak()["card_bytes"] == 7
    assert monitor.busy(0, time.time()) is None


def test_the_share_of_a_time_that_was_busy() -> None:
    monitor = Monitor()
    monitor.samples = [
        Sample(at, 0, (CardSample(1, busy),)) for at, busy in enumerate((0, 50, 100, 0))
    ]
    assert monitor.busy(1, 2) == 0.75
    assert monitor.busy(8, 9) is None


def test_every_card_is_watched_or_those_that_are_named(library: pytest.MonkeyPatch) -> None:
    library.setattr("pynvml.nvmlInit", lambda: None)
    library.setattr("pynvml.nvmlDeviceGetCount", lambda: 3)
    library.setattr("pynvml.nvmlDeviceGetHandleByIndex", lambda number: number)
    library.setattr(
        "pynvml.nvmlDeviceGetMemoryInfo", lambda number: SimpleNamespace(used=10 + number)
    )
    library.setattr(
        "pynvml.nvmlDeviceGetUtilizationRates", lambda number: SimpleNamespace(gpu=40 * number)
    )
    every, named = monitored(), monitored([2, 0])
    assert every.peaks_by_card() == [10, 11, 12]
    assert every.busy_by_card(0, time.time()) == [0.0, 0.4, 0.8]
    assert every.busy(0, time.time()) == pytest.approx(0.4)
    assert every.peak()["card_bytes"] == 12
    assert named.peaks_by_card() == [12, 10]

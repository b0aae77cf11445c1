"""Loading of an engine in words, for a person who waits for it."""

from __future__ import annotations

from typing import Final

from dsk.ocr.schema.limits import flag

# Seconds of loading after which that is reported, and again after as many more. Two engines on an
# H200 started in 109 s, kernels compiled.
REPORT_SECONDS: Final = 300

# H200: 109 s for two engines that compile their kernels, some 60 s afterwards; cpu: 95 s for a test
# model on two busy cores.
_USUAL: Final = {"cuda": "1 to 3 min, longer the first time", "cpu": "1 to 2 min"}


def usual_time(device: str) -> str:
    """Return how long an engine on a device usually takes to load; "" for servers, which have."""
    return _USUAL.get(device, "")


def progress_report(program: str, seconds: int, limit: int, last_line: str) -> str:
    """Return a sentence on a program that still loads, with the last line of its log, if any."""
    report = (
        f"{program} has been loading for {seconds // 60} min; it is ended after {limit} s "
        f"({flag('load_seconds')})"
    )
    return f"{report}. The last line of its log: {last_line}" if last_line else report


def timeout_report(limit: int) -> str:
    """Return the end of a program that did not load in time, to follow its name."""
    return f"did not load within {limit} s ({flag('load_seconds')} raises the limit)"

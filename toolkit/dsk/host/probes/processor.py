"""The CPU: what it is called, and which of the instruction sets that decide the speed it has."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from dsk.host.facts import Processor

_SETS: Final = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX BF16",
}
"""Linux's names of instruction sets, and their makers'."""


def look() -> Processor:
    """The first CPU that /proc/cpuinfo tells of; the cores that we may use."""
    told = _told(Path("/proc/cpuinfo").read_text("utf-8"))
    flags = set(told.get("flags", "").split())
    return Processor(
        name=" ".join(told.get("model name", "").split()) or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        instruction_sets=tuple(name for flag, name in _SETS.items() if flag in flags),
    )


def _told(text: str) -> dict[str, str]:
    first = text.split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}

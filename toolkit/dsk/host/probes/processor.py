"""Probe of the CPU: its name, its cores, and the instruction sets that decide the speed."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from dsk.host.facts import Processor

# Names of instruction sets: in /proc/cpuinfo, and in Intel's and AMD's documents.
_SETS: Final = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX BF16",
}


def look() -> Processor:
    """Return the first CPU of /proc/cpuinfo, with the cores that this process may use."""
    entries = _first_cpu(Path("/proc/cpuinfo").read_text("utf-8"))
    flags = set(entries.get("flags", "").split())
    return Processor(
        name=" ".join(entries.get("model name", "").split()) or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        instruction_sets=tuple(name for flag, name in _SETS.items() if flag in flags),
    )


def _first_cpu(text: str) -> dict[str, str]:
    first = text.split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}

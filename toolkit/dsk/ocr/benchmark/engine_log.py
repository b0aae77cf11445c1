"""What vLLM's log tells of its start: what each part of it took, and what memory it found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# The lines of 0.24.0 and 0.32.0; V0 writes fewer of them.
_SAID: Final = {
    "weights_seconds": re.compile(r"Model loading took .* and ([\d.]+) seconds"),
    "compile_seconds": re.compile(r"torch\.compile took ([\d.]+) s in total"),
    "warm_up_seconds": re.compile(r"Initial profiling/warmup run took ([\d.]+) s"),
    "graphs_seconds": re.compile(r"Graph capturing finished in ([\d.]+) secs"),
    "after_weights_seconds": re.compile(r"init engine \(.*\) took ([\d.]+) s"),
    "weights_gib": re.compile(r"Model loading took ([\d.]+) GiB"),
    "kv_cache_tokens": re.compile(r"GPU KV cache size: ([\d,]+) tokens"),
}


def start(log: Path) -> dict[str, list[float]]:
    """What the log tells, one number for each engine that has started, in seconds, GiB or tokens.

    ``after_weights_seconds`` holds compiling, warming up and capturing graphs, and the rest.
    """
    text = log.read_text("utf-8", "replace")
    found = {name: said.findall(text) for name, said in _SAID.items()}
    return {
        name: [float(number.replace(",", "")) for number in numbers]
        for name, numbers in found.items()
        if numbers
    }

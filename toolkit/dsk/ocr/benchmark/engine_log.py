"""Parse the durations and memory sizes that vLLM logs while it starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# As vLLM 0.24.0 and 0.32.0 write them; the V0 engine of 0.8.5 writes fewer.
_LINES: Final = {
    "weights_seconds": re.compile(r"Model loading took .* and ([\d.]+) seconds"),
    "compile_seconds": re.compile(r"torch\.compile took ([\d.]+) s in total"),
    "warm_up_seconds": re.compile(r"Initial profiling/warmup run took ([\d.]+) s"),
    "graphs_seconds": re.compile(r"Graph capturing finished in ([\d.]+) secs"),
    "after_weights_seconds": re.compile(r"init engine \(.*\) took ([\d.]+) s"),
    "weights_gib": re.compile(r"Model loading took ([\d.]+) GiB"),
    "kv_cache_tokens": re.compile(r"GPU KV cache size: ([\d,]+) tokens"),
}


def parse(log: Path) -> dict[str, list[float]]:
    """Return the numbers in a log, one for each engine that started, in seconds, GiB or tokens.

    ``after_weights_seconds`` includes compiling, warming up and capturing graphs.
    """
    text = log.read_text("utf-8", "replace")
    matches = {name: pattern.findall(text) for name, pattern in _LINES.items()}
    return {
        name: [float(number.replace(",", "")) for number in numbers]
        for name, numbers in matches.items()
        if numbers
    }

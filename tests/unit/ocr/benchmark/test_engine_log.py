"""What vLLM's log tells of its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.ocr.benchmark import engine_log

if TYPE_CHECKING:
    from pathlib import Path

# Lines of vLLM 0.24.0 on an H200, of two engines.
LOG = """\
(EngineCore pid=2234) INFO 11-28 11:03:40 [gpu_model_runner.py:5255] Model loading took 6.23 GiB \
memory and 3.476213 seconds
(EngineCore pid=2285) INFO 11-28 11:03:41 [gpu_model_runner.py:5255] Model loading took 6.23 GiB \
memory and 3.252019 seconds
(EngineCore pid=2285) INFO 11-28 11:03:45 [monitor.py:53] torch.compile took 2.53 s in total
(EngineCore pid=2285) INFO 11-28 11:03:46 [monitor.py:81] Initial profiling/warmup run took 1.01 s
(EngineCore pid=2285) INFO 11-28 11:03:46 [kv_cache_utils.py:2146] GPU KV cache size: \
845,328 tokens
(EngineCore pid=2285) INFO 11-28 11:03:52 [gpu_model_runner.py:6656] Graph capturing finished in \
5 secs, took 0.31 GiB
(EngineCore pid=2285) INFO 11-28 11:03:52 [core.py:337] init engine (profile, create kv cache, \
warmup model) took 11.24 s (compilation: 2.53 s)
"""


def test_each_engines_numbers_are_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    assert engine_log.parse(tmp_path / "log") == {
        "weights_seconds": [3.476213, 3.252019],
        "compile_seconds": [2.53],
        "warm_up_seconds": [1.01],
        "graphs_seconds": [5.0],
        "after_weights_seconds": [11.24],
        "weights_gib": [6.23, 6.23],
        "kv_cache_tokens": [845_328.0],
    }


def test_a_log_that_tells_nothing_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff nothing\n")
    assert engine_log.parse(tmp_path / "log") == {}

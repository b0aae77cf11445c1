"""What is told of the CPU."""

from pathlib import Path

import pytest

from dsk.host.probes import processor


def test_the_processor_is_told_with_the_instruction_sets_that_decide_its_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = "model name\t: Fast CPU   9000\nflags\t\t: fpu sse2 avx2 avx512f avx512_bf16\n"
    monkeypatch.setattr(Path, "read_text", lambda *_: f"{one}\n{one}")
    found = processor.look()
    assert found.name == "Fast CPU 9000"
    assert found.instruction_sets == ("AVX2", "AVX-512", "AVX-512 BF16")
    assert found.cores >= 1

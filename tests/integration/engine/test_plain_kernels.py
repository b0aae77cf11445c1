"""What stands in for kernels that the CPU build lacks computes the same sums."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine


def test_plain_experts_and_attention_are_the_sums_written_out(run_in: Callable[..., str]) -> None:
    away = json.loads(run_in("cpu-v0", "plain_kernels"))
    assert set(away) == {"experts", "experts, renormalized", "attention"}
    for name, largest in away.items():
        assert largest < 1e-3, f"{name}: {largest:.1e}"

"""Kernels of ours, and what stands in for those that the CPU build lacks: the right sums."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def away(run_in: Callable[..., str]) -> dict[str, float]:
    found: dict[str, float] = json.loads(run_in("cpu-v0", "plain_kernels").splitlines()[-1])
    return found


def test_plain_experts_and_attention_are_the_sums_written_out(away: dict[str, float]) -> None:
    for name in ("experts", "experts, renormalized", "attention"):
        assert away[name] < 1e-3, name


@pytest.mark.parametrize("where", ["a window", "resized"])
@pytest.mark.parametrize("how", ["", ", in Triton"])
def test_attention_with_relative_positions_is_the_sum_written_out(
    away: dict[str, float], where: str, how: str
) -> None:
    """Triton's kernel is interpreted here, on the CPU."""
    assert away[f"relative, {where}{how}"] < 1e-4

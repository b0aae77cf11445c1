"""How many engines a run has, and what of the card's memory each gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dsk.errors import UsageProblem
from dsk.matrix import load_matrix
from dsk.matrix.memory_plan import GIB
from dsk.ocr.run import placement
from dsk.ocr.run.placement import EngineShare

if TYPE_CHECKING:
    from collections.abc import Callable

    Asked = Callable[..., EngineShare]

# What NVML says of them.
H200, H100, RTX4090 = 143_771 << 20, 81_559 << 20, 24_564 << 20
PEAK = load_matrix().models["deepseek-ocr"].memory.v1_peak_gib * GIB


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    matrix = load_matrix()

    def ask(
        *, stack: str = "v1", card: int = H200, cores: int = 16, pages: int = 512, wished: int = 0
    ) -> EngineShare:
        monkeypatch.setattr(placement, "_memory", lambda: card)
        monkeypatch.setattr(placement, "_cores", lambda: cores)
        model = matrix.models["deepseek-ocr"]
        return placement.share(matrix.stack(stack), model, pages, wished or None)

    return ask


@pytest.mark.parametrize("card", [H200, H100])
def test_a_large_card_gets_two_engines_that_fit_beside_each_other(asked: Asked, card: int) -> None:
    found = asked(card=card)
    settings = found.settings
    assert found.engines == 2
    assert settings["gpu_memory_utilization"] == 0.425
    assert settings["kv_cache_memory_bytes"] >= 20 * GIB
    held = 2 * (settings["kv_cache_memory_bytes"] + PEAK)
    assert held == pytest.approx(0.85 * card)


@pytest.mark.parametrize(
    "machine",
    [
        {"card": RTX4090},
        {"card": 0},
        {"cores": 4},
        {"pages": 100},
        {"stack": "v0"},
        {"stack": "cpu"},
        {"wished": 1},
    ],
)
def test_else_there_is_one_as_the_stack_has_it(asked: Asked, machine: dict[str, Any]) -> None:
    stack = load_matrix().stack(machine.get("stack", "v1"))
    assert asked(**machine) == EngineShare(engines=1, settings=stack.settings)


def test_as_many_as_are_wished_for_are_started_where_they_fit(asked: Asked) -> None:
    assert asked(wished=3, pages=1, cores=2).engines == 3
    with pytest.raises(UsageProblem, match="does not hold 2 engines"):
        asked(wished=2, card=RTX4090)
    with pytest.raises(UsageProblem, match="no whole card answers"):
        asked(wished=2, card=0)
    with pytest.raises(UsageProblem, match="stack 'v0' has one engine at a time"):
        asked(wished=2, stack="v0")


# What NVML showed at the most with vLLM 0.24.0 on an H200: one engine at 0.85, two, and three with
# 15 GiB of KV cache each.
@pytest.mark.parametrize(
    ("engines", "tokens", "peak"),
    [(1, 1_935_872, 131_652_780_032), (2, 845_328, 127_057_526_784), (3, 262_144, 84_679_983_104)],
)
def test_what_engines_hold_is_planned_within_two_percent(
    engines: int, tokens: int, peak: int
) -> None:
    cache = tokens * load_matrix().models["deepseek-ocr"].kv_cache_bytes_per_token
    assert engines * (cache + PEAK) == pytest.approx(peak, rel=0.02)

"""Decide how many engines read on one card, and how much of its memory each may have.

One V1 engine prepares its next step on the CPU for longer than a large card takes for the last: an
H200 was busy for 46 % of the steady part of a run with one, for 80 % with two.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import UsageProblem
from dsk.host.probes import FOR_STACK_CHOICE, gather
from dsk.matrix import memory_plan
from dsk.ocr.schema.engine_config import Placement

if TYPE_CHECKING:
    from dsk.matrix import Model, Stack

_ON_A_LARGE_CARD: Final = 2
# Bytes of KV cache that leave an engine as quick as it was: some 350,000 tokens.
_LEAST_CACHE: Final = 20 * memory_plan.GIB
# Each engine keeps two busy, beside the processes that render.
_LEAST_CORES: Final = 8
# Fewer are read before a second engine is worth its start.
_LEAST_PAGES: Final = 256


@dataclass(frozen=True, kw_only=True)
class EngineShare:
    """Engines beside each other on one card.

    Args:
        engines: how many.
        settings: vLLM's arguments for each of them.
    """

    engines: int
    settings: dict[str, Any]

    @property
    def placement(self) -> Placement:
        """The part of it that the pipeline goes by."""
        return Placement(engines=self.engines)


def share(stack: Stack, model: Model, pages: int, requested: int | None) -> EngineShare:
    """Decide how many engines read at once, and what of the card's memory each may have.

    Args:
        stack: the engines' stack.
        model: the model that they load.
        pages: how many there are to read.
        requested: how many engines; None for as many as fit the card and the pages.

    Raises:
        UsageProblem: the card does not hold as many, or the stack's engine shares no card.
    """
    one = EngineShare(engines=1, settings=stack.settings)
    shares = stack.device == "cuda" and stack.engine == "V1"
    if requested == 1 or (requested is None and not (shares and pages >= _LEAST_PAGES)):
        return one
    if not shares:
        what = f"stack '{stack.id}' has one engine at a time"
        raise UsageProblem(what, do="leave --engines out")
    number, memory = requested or _ON_A_LARGE_CARD, _memory()
    if requested and not memory:
        what = "no whole card answers here that engines could share"
        raise UsageProblem(what, do="leave --engines out")
    utilization = float(stack.settings["gpu_memory_utilization"]) / number
    cache = memory_plan.kv_cache_of_share(model, memory, utilization)
    if requested is None and not (cache >= _LEAST_CACHE and _cores() >= _LEAST_CORES):
        return one
    if cache < model.kv_cache_bytes_per_token * int(stack.settings["max_model_len"]):
        what = f"the card does not hold {number} engines"
        raise UsageProblem(what, do="give --engines a smaller number, or leave it out")
    settings = {"gpu_memory_utilization": utilization, "kv_cache_memory_bytes": cache}
    return EngineShare(engines=number, settings=stack.settings | settings)


def _memory() -> int:
    """Bytes of the card that an engine takes; 0 where none answers, or one is cut into instances.

    CUDA's first card is its fastest, unless the user names others: then it may be any of them.
    """
    nvidia = gather(FOR_STACK_CHOICE).nvidia
    cards = nvidia.cards if nvidia else ()
    if any(card.mig is not None for card in cards):
        return 0
    which = min if "CUDA_VISIBLE_DEVICES" in os.environ else max
    return which((card.memory_total for card in cards), default=0)


def _cores() -> int:
    return len(os.sched_getaffinity(0))

"""GPU memory, planned: what weights and activations leave for the KV cache, in requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import MatrixInvalid, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.matrix import Gpu, Model

GIB: Final = 2**30
BYTES: Final = 2
"""A bfloat16 number."""

REPORTED_SHARE: Final = 22.03 / 24
"""vLLM's log of an RTX 4090 has 22.03 GiB in all; cards of which no more is known go by that."""

WEIGHTS: Final = 6.23
"""GiB that vLLM logged for the published weights: 0.8.5 on an RTX 4090, 0.24.0 on an H200."""

ACTIVATIONS: Final = 0.607
"""GiB of activations and of what is not torch's: 0.9 x 22.03 less weights and the 12.99 logged."""

V1_PEAK: Final = 11.3
"""GiB that a V1 engine holds at its peak beside its KV cache: seen of vLLM 0.24.0 on an H200, with
steps of 16,384 tokens, the same of one, two and three engines on the card."""


@dataclass(frozen=True, kw_only=True)
class KvCache:
    """Bytes a token in all layers together, the way the configuration keeps them and the other.

    Args:
        kind: "MHA", keys and values of every head, or "MLA", one compressed row a layer.
        other: the same for the other kind, if the configuration has its dimensions.
    """

    kind: str
    bytes_per_token: int
    other: tuple[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """A card's memory in GiB."""

    seen: float
    usable: float
    weights: float
    working: float
    kv: KvCache

    @property
    def kv_cache(self) -> float:
        """What is left for the KV cache, in GiB."""
        return self.usable - self.weights - self.working

    def requests(self, tokens: int) -> float:
        """How many requests of ``tokens`` tokens, prompt and answer, it holds at once."""
        return self.kv_cache * GIB / (self.kv.bytes_per_token * tokens)


def plan(gpu: Gpu, kv: KvCache, *, utilization: float, seen: float | None = None) -> MemoryPlan:
    """Plan a card's memory.

    Args:
        gpu: the card.
        kv: the decoder's cache.
        utilization: vLLM's ``gpu_memory_utilization``, the share of the card that it may use.
        seen: the card's memory in GiB as torch reports it, where it is known.

    Raises:
        UsageProblem: nothing is left for the KV cache.
    """
    total = seen or gpu.seen_gib or gpu.vram_gib * REPORTED_SHARE
    made = MemoryPlan(
        seen=total, usable=total * utilization, weights=WEIGHTS, working=ACTIVATIONS, kv=kv
    )
    if made.kv_cache <= 0:
        what = f"{gpu.name}: {made.usable:.2f} GiB hold no KV cache beside the model"
        raise UsageProblem(what, do=f"it needs more than {WEIGHTS + ACTIVATIONS:.2f} GiB")
    return made


def kv_cache_of_share(memory: int, utilization: float) -> int:
    """Bytes for the KV cache of an engine that has a card with others; below 0 there is no room.

    vLLM cannot find them by itself: it measures the card, which others fill at the same time.

    Args:
        memory: bytes of the card.
        utilization: the engine's share of it.
    """
    return int(memory * utilization - V1_PEAK * GIB)


def of_model(model: Model) -> KvCache:
    """The KV cache of a model profile."""
    return KvCache(kind="MHA", bytes_per_token=model.kv_cache_bytes_per_token)


def of_configuration(file: Path) -> KvCache:
    """The KV cache of a checkpoint's ``config.json``, MLA and MHA where it has both's dimensions.

    Raises:
        MatrixInvalid: the file is not a configuration of this model's kind.
    """
    try:
        text = json.loads(file.read_text("utf-8"))["language_config"]
        return _of_language(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{file} is not a DeepSeek-OCR configuration ({type(error).__name__}: {error})"
        raise MatrixInvalid(what, do="name the config.json of a checkpoint") from error


def _of_language(text: dict[str, Any]) -> KvCache:
    layers, heads = text["num_hidden_layers"], text["num_attention_heads"]
    if not text["use_mla"]:
        head = text["hidden_size"] // heads
        size = 2 * layers * text["num_key_value_heads"] * head * BYTES
        return KvCache(kind="MHA", bytes_per_token=size)
    compressed = layers * (text["kv_lora_rank"] + text["qk_rope_head_dim"]) * BYTES
    head = text["qk_nope_head_dim"] + text["qk_rope_head_dim"]
    # Without MLA vLLM pads values to the keys' size and caches both for every head.
    whole = 2 * layers * heads * head * BYTES
    return KvCache(kind="MLA", bytes_per_token=compressed, other=("MHA", whole))

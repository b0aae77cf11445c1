"""GPU memory: the KV cache left beside weights and activations, and the requests it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import MatrixInvalid, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.matrix import Gpu, Model

GIB: Final = 2**30
# Size of a bfloat16 number.
BYTES: Final = 2

# Share of the nominal VRAM that torch reports, where a card's own figure is not known: vLLM's log
# of an RTX 4090 has 22.03 GiB.
REPORTED_SHARE: Final = 22.03 / 24


@dataclass(frozen=True, kw_only=True)
class KvCache:
    """Size of a token in the KV cache of all layers, for the configured kind and the other one.

    Args:
        kind: "MHA", keys and values of every head, or "MLA", one compressed row a layer.
        other: the same for the other kind, if the configuration has its dimensions.
        window: generated tokens that are kept beside the prompt (R-SWA); None where all are.
    """

    kind: str
    bytes_per_token: int
    other: tuple[str, int] | None = None
    window: int | None = None

    def kept(self, prompt: int, answer: int) -> int:
        """Return the tokens that a request of so many tokens has in the cache at its end."""
        # vLLM frees the blocks that the window has left (RSWAManager, since 0.25.1).
        return prompt + (answer if self.window is None else min(answer, self.window))


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """A card's memory in GiB.

    Args:
        reported: all of it, as torch reports it.
        usable: vLLM's share.
        weights: the model's.
        activations: one forward pass, and what is not torch's.
        kv: size of a token in the KV cache.
        computed: which of weights and activations are computed from another model's, not measured.
    """

    reported: float
    usable: float
    weights: float
    activations: float
    kv: KvCache
    computed: frozenset[str] = frozenset()

    @property
    def kv_cache(self) -> float:
        """GiB left for the KV cache."""
        return self.usable - self.weights - self.activations

    def requests(self, tokens: int) -> float:
        """Return how many requests that keep ``tokens`` tokens fit at once."""
        return self.kv_cache * GIB / (self.kv.bytes_per_token * tokens)


def plan(
    gpu: Gpu,
    model: Model,
    *,
    utilization: float,
    reported: float | None = None,
    kv: KvCache | None = None,
) -> MemoryPlan:
    """Plan a card's memory.

    Args:
        gpu: the card.
        model: the model that it is to hold.
        utilization: vLLM's ``gpu_memory_utilization``, the share of the card that it may use.
        reported: the card's memory in GiB as torch reports it, where it is known.
        kv: the KV cache of another decoder than the model's.

    Raises:
        UsageProblem: nothing is left for the KV cache.
    """
    # A measurement is better than the profile's figure, and that better than the rule of thumb.
    total = reported or gpu.seen_gib or gpu.vram_gib * REPORTED_SHARE
    use = model.memory
    made = MemoryPlan(
        reported=total,
        usable=total * utilization,
        weights=use.weights_gib,
        activations=use.activations_gib,
        kv=kv or of_model(model),
        computed=frozenset(name.removesuffix("_gib") for name in use.computed),
    )
    if made.kv_cache <= 0:
        what = f"{gpu.name}: {made.usable:.2f} GiB leave no room for a KV cache beside the model"
        raise UsageProblem(what, do=f"it needs more than {least_gib(model):.2f} GiB")
    return made


def least_gib(model: Model) -> float:
    """Return the GiB of the weights and one forward pass, without any KV cache."""
    return model.memory.weights_gib + model.memory.activations_gib


def kv_cache_of_share(model: Model, memory: int, utilization: float) -> int:
    """Return the bytes for the KV cache of an engine that shares a card; below 0 it does not fit.

    Args:
        model: the model that the engine loads.
        memory: bytes of the card.
        utilization: the engine's share of it.
    """
    # vLLM cannot find them by itself: it measures the free memory of the card, which the other
    # engines are filling at the same time.
    return int(memory * utilization - model.memory.v1_peak_gib * GIB)


def of_model(model: Model) -> KvCache:
    """Return the KV cache of a model."""
    return KvCache(
        kind="MHA",
        bytes_per_token=model.kv_cache_bytes_per_token,
        window=model.language.rswa_window,
    )


def of_configuration(file: Path) -> KvCache:
    """Return the KV cache of a checkpoint's ``config.json``, as MLA and as MHA if it has both.

    Raises:
        MatrixInvalid: the file is not a configuration of this model's kind.
    """
    try:
        text = json.loads(file.read_text("utf-8"))["language_config"]
        return _of_language(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{file} is no configuration of these models ({type(error).__name__}: {error})"
        raise MatrixInvalid(what, do="name the config.json of a checkpoint") from error


def _of_language(text: dict[str, Any]) -> KvCache:
    layers, heads = text["num_hidden_layers"], text["num_attention_heads"]
    if not text["use_mla"]:
        head = text["hidden_size"] // heads
        size = 2 * layers * text["num_key_value_heads"] * head * BYTES
        return KvCache(kind="MHA", bytes_per_token=size, window=text.get("rswa_window"))
    compressed = layers * (text["kv_lora_rank"] + text["qk_rope_head_dim"]) * BYTES
    head = text["qk_nope_head_dim"] + text["qk_rope_head_dim"]
    # Without MLA vLLM pads values to the keys' size and caches both for every head.
    whole = 2 * layers * heads * head * BYTES
    return KvCache(kind="MLA", bytes_per_token=compressed, other=("MHA", whole))

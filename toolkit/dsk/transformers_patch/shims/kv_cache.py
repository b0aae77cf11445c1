"""Methods of transformers 4.46.3's caches, as functions of any release's cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.cache_utils import DynamicCache

if TYPE_CHECKING:
    import torch

    Legacy = tuple[tuple[torch.Tensor, torch.Tensor], ...]


def seen_tokens(cache: Any) -> int:
    """Return the number of tokens that the cache was given."""
    return int(cache.get_seq_length())


def get_max_length(cache: Any) -> int | None:
    """Return the most tokens the cache can hold; None for one that grows."""
    # 4.46.3 to 5.5 call it ``get_max_cache_shape``, some releases return -1 for a cache that grows,
    # and some raise while it has no layers.
    if not getattr(cache, "layers", True):
        return None
    method = getattr(cache, "get_max_cache_shape", None) or cache.get_max_length
    length = method()
    return None if length is None or length < 0 else int(length)


def get_usable_length(cache: Any, new_seq_length: int, layer_idx: int = 0) -> int:
    """Return how many cached tokens stay when ``new_seq_length`` more arrive."""
    most, cached = get_max_length(cache), int(cache.get_seq_length(layer_idx))
    if most is not None and cached + new_seq_length > most:
        return most - new_seq_length
    return cached


def from_legacy_cache(past: Legacy | None = None) -> Any:
    """Return a `DynamicCache` of each layer's keys and values, (batch, heads, tokens, size)."""
    cache = DynamicCache()
    for layer_idx, (keys, values) in enumerate(past or ()):
        cache.update(keys, values, layer_idx)
    return cache


def to_legacy_cache(cache: Any) -> Legacy:
    """Return the keys and values of each layer, as `from_legacy_cache` takes them."""
    if layers := getattr(cache, "layers", None):
        return tuple((layer.keys, layer.values) for layer in layers)
    return tuple(zip(cache.key_cache, cache.value_cache, strict=True))

"""Methods of transformers 4.46.3's caches, as functions of any release's cache."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from transformers.cache_utils import Cache, DynamicCache

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Legacy = tuple[tuple[torch.Tensor, torch.Tensor], ...]


def is_cache(past: Any) -> bool:
    """Return True for a cache object, False for a tuple of tensors and for None."""
    return isinstance(past, Cache)


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


_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "get_max_length": get_max_length,
    "get_usable_length": get_usable_length,
    "to_legacy_cache": to_legacy_cache,
}


def cache_method(past: Any, name: str, *default: Any) -> Any:
    """Return a method of 4.46.3's caches, as ``getattr(past, name)`` did there.

    Args:
        past: a cache; of anything else the attribute itself is returned.
        name: a key of the methods here: a later release's method of that name may mean another
            thing, as ``get_max_length`` of 5.24.0 does, which returns -1 for no limit.
        default: what to return for anything that is no cache and lacks the attribute.
    """
    if is_cache(past):
        return functools.partial(_METHODS[name], past)
    return getattr(past, name, *default)

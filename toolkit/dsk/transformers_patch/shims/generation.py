"""Generation that is inherited and called as in transformers 4.46.3."""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from transformers import DynamicCache, generation

from dsk.transformers_patch.shims.kv_cache import from_legacy_cache, is_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    Function = Callable[..., Any]

# Names under which `generate` hands over the cache: the second is 5.24.0's.
CACHE_NAMES: Final = ("past_key_values", "cache")
_OWN: Final = inspect.signature(generation.GenerationMixin.prepare_inputs_for_generation).parameters
_CACHE_NAME: Final = next((name for name in reversed(CACHE_NAMES) if name in _OWN), CACHE_NAMES[0])
_GROWING: Final = (None, "dynamic", "dynamic_full", "offloaded", "quantized")
# 4.46.3 adds them to what the method returns; from 4.57 on they are among its arguments.
_OUTPUTS: Final = ("output_attentions", "output_hidden_states")


class GenerationMixin(generation.GenerationMixin):
    """Base class of models that generate, with the caches of 4.46.3."""

    def _prepare_cache_for_generation(
        self, generation_config: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Make the cache in ``model_kwargs``: one that grows, and keeps every token.

        Raises:
            ValueError: a cache of fixed size is asked for, which the model's code cannot use.
        """
        kind = generation_config.cache_implementation
        if kind not in _GROWING:
            message = f"This model does not support `cache_implementation={kind!r}`."
            raise ValueError(message)
        for name in CACHE_NAMES:
            if isinstance(model_kwargs.get(name), tuple | list):
                model_kwargs[name] = from_legacy_cache(model_kwargs[name])
        with _whole_context(self.config):
            super()._prepare_cache_for_generation(generation_config, model_kwargs, *args, **kwargs)
        # 5.0.0 makes none for assisted generation: its own models make one themselves.
        if generation_config.use_cache and all(
            model_kwargs.get(name) is None for name in CACHE_NAMES
        ):
            model_kwargs[_CACHE_NAME] = DynamicCache()


@contextmanager
def _whole_context(config: Any) -> Iterator[None]:
    """Hide a configuration's sliding window."""
    # Later releases make a cache that forgets what left the window. Unlimited-OCR counts its window
    # from the prompt's end and drops tokens itself.
    window = getattr(config, "sliding_window", None)
    if window is None:
        yield
        return
    config.sliding_window = None
    try:
        yield
    finally:
        config.sliding_window = window


def old_call(prepare: Function) -> Function:
    """Return a ``prepare_inputs_for_generation`` that gets the arguments of 4.46.3."""
    # Later releases rename the cache, add arguments, leave out an attention mask that masks
    # nothing, and add position ids of the whole sequence, which the old method would pass on
    # unsliced; it computes its own from the attention mask.
    adds_positions = hasattr(generation.GenerationMixin, "_prepare_position_ids_for_generation")

    @functools.wraps(prepare)
    def prepare_inputs_for_generation(
        self: Any, input_ids: torch.Tensor, past_key_values: Any = None, **others: Any
    ) -> dict[str, Any]:
        renamed = others.pop("cache", None)
        past_key_values = renamed if past_key_values is None else past_key_values
        added = others.pop("next_sequence_length", None)
        others.pop("is_first_iteration", None)
        if others.get("attention_mask") is None and others.get("inputs_embeds") is None:
            tokens = input_ids.shape[1]
            if is_cache(past_key_values):
                # Only the tokens that are not in the cache may have been given.
                new = tokens if added is None else added
                tokens = max(tokens, int(past_key_values.get_seq_length()) + new)
            others["attention_mask"] = input_ids.new_ones(input_ids.shape[0], tokens)
        if adds_positions and others.get("attention_mask") is not None:
            others.pop("position_ids", None)
        inputs: dict[str, Any] = prepare(self, input_ids, past_key_values=past_key_values, **others)
        return {name: others[name] for name in _OUTPUTS if others.get(name)} | inputs

    # `generate` refuses arguments that the signature lacks.
    prepare_inputs_for_generation.__signature__ = _with_cache(prepare)  # type: ignore[attr-defined]
    return prepare_inputs_for_generation


def _with_cache(function: Function) -> inspect.Signature:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    cache = inspect.Parameter("cache", inspect.Parameter.KEYWORD_ONLY, default=None)
    at = len(parameters) - (parameters[-1].kind is inspect.Parameter.VAR_KEYWORD)
    return signature.replace(parameters=[*parameters[:at], cache, *parameters[at:]])


def reordering(reorder: Function) -> Function:
    """Return a ``_reorder_cache`` that leaves `Cache` objects to their own method."""
    # 4.46.3 calls the model's for tuples alone; later ones for everything. It would make a tuple of
    # the cache.

    @functools.wraps(reorder)
    def reorder_cache(*args: Any, **kwargs: Any) -> Any:
        *_, past, order = (*args, *kwargs.values())
        if not is_cache(past):
            return reorder(*args, **kwargs)
        past.reorder_cache(order)
        return past

    return reorder_cache

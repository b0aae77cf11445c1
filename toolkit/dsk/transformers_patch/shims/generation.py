"""Generation that is inherited and called as in transformers 4.46.3."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from transformers.generation import GenerationMixin

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GenerationMixin", "old_call"]


def old_call(prepare: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a ``prepare_inputs_for_generation`` that gets the arguments of 4.46.3."""
    # Later releases add arguments, leave out an attention mask that masks nothing, and add position
    # ids of the whole sequence, which the old method would pass on unsliced; it computes its own
    # from the attention mask.
    adds_positions = hasattr(GenerationMixin, "_prepare_position_ids_for_generation")

    @functools.wraps(prepare)
    def prepare_inputs_for_generation(
        self: Any, input_ids: Any, past_key_values: Any = None, **others: Any
    ) -> dict[str, Any]:
        for added in ("next_sequence_length", "is_first_iteration"):
            others.pop(added, None)
        if others.get("attention_mask") is None and others.get("inputs_embeds") is None:
            others["attention_mask"] = torch.ones_like(input_ids)
        if adds_positions and others.get("attention_mask") is not None:
            others.pop("position_ids", None)
        return prepare(self, input_ids, past_key_values=past_key_values, **others)

    return prepare_inputs_for_generation

"""Additive attention mask of transformers 4.46.3, (batch, 1, queries, keys)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


def _prepare_4d_causal_attention_mask(
    attention_mask: torch.Tensor | None,
    input_shape: Sequence[int],
    inputs_embeds: torch.Tensor,
    past_key_values_length: int,
    sliding_window: int | None = None,
) -> torch.Tensor | None:
    """Return a mask of 0 where a query may look, and the dtype's least number where it may not.

    Args:
        attention_mask: (batch, keys) of 1 and 0, or (batch, 1, queries, keys) of 1 and 0, or None.
        input_shape: batch and queries.
        inputs_embeds: a tensor of the mask's dtype and device.
        past_key_values_length: cached tokens, before the queries.
        sliding_window: how far back a query may look.

    Returns:
        The mask, or None for a single query that may look everywhere.

    Raises:
        ValueError: a four-dimensional mask has another shape.
    """
    batch, queries = input_shape[0], input_shape[-1]
    keys = queries + past_key_values_length
    dtype, device = inputs_embeds.dtype, inputs_embeds.device
    if attention_mask is not None and attention_mask.dim() == 4:
        if tuple(attention_mask.shape) != (batch, 1, queries, keys):
            message = (
                f"Incorrect 4D attention_mask shape: {tuple(attention_mask.shape)}; "
                f"expected: {(batch, 1, queries, keys)}."
            )
            raise ValueError(message)
        return _additive(attention_mask.to(torch.bool), dtype)
    if attention_mask is None and queries == 1 and sliding_window is None:
        return None
    key = torch.arange(keys, device=device)
    query = torch.arange(past_key_values_length, keys, device=device)[:, None]
    allowed = key <= query
    if sliding_window is not None:
        allowed &= key >= query - sliding_window
    allowed = allowed.expand(batch, 1, queries, keys)
    if attention_mask is not None:
        allowed = allowed & attention_mask.to(device)[:, None, None, :].to(torch.bool)
    return _additive(allowed, dtype)


def _additive(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    # Not -inf: softmax of a row that may look nowhere, as of padding, would be NaN.
    mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min)

"""`_update_causal_mask` overrides, called again.

DeepSeek-OCR-2 draws the attention mask of its vision decoder (image tokens see each other, queries
see what came before) by overriding a method that transformers stopped calling in 4.53.0. From then
on the model runs with a plain causal mask and says nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from dsk.errors import EngineMissing


def calling_update_causal_mask(base: type) -> type:
    """The base class itself where it calls ``_update_causal_mask``, else one that does.

    Raises:
        EngineMissing: a base whose forward takes no ready-made mask: it would run wrong.
    """
    if hasattr(base, "_update_causal_mask"):
        return base
    module = sys.modules[base.__module__]
    if not hasattr(module, "create_causal_mask"):
        import transformers

        what = (
            f"{base.__module__}.{base.__qualname__} of transformers {transformers.__version__} "
            "neither calls _update_causal_mask nor takes a mask: the model would run wrong"
        )
        raise EngineMissing(what, do="use another transformers release")

    class CallingUpdateCausalMask(base):
        def forward(
            self,
            input_ids: torch.Tensor | None = None,
            attention_mask: torch.Tensor | None = None,
            position_ids: torch.Tensor | None = None,
            past_key_values: Any = None,
            inputs_embeds: torch.Tensor | None = None,
            **others: Any,
        ) -> Any:
            """As the base's, with the mask that the override draws."""
            embeds = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
            position = others.get("cache_position")
            if position is None:
                past = 0 if past_key_values is None else past_key_values.get_seq_length()
                position = torch.arange(past, past + embeds.shape[1], device=embeds.device)
            attentions = bool(others.get("output_attentions"))
            # Four dimensions: the base hands it to every layer as it is.
            mask = self._update_causal_mask(
                attention_mask, embeds, position, past_key_values, attentions
            )
            return super().forward(
                input_ids=input_ids,
                attention_mask=mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                inputs_embeds=inputs_embeds,
                **others,
            )

    CallingUpdateCausalMask.__name__ = base.__name__
    CallingUpdateCausalMask.__qualname__ = base.__qualname__
    return CallingUpdateCausalMask

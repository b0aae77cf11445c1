"""Calls of `_update_causal_mask` overrides, which transformers 4.53.0 dropped.

DeepSeek-OCR-2 makes the attention mask of its vision decoder (image tokens see each other, queries
see what came before) by overriding that method. Without the call it runs with a plain causal mask,
and no error shows it.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch

from dsk.errors import EngineMissing


def calling_update_causal_mask(base: Any) -> Any:
    """Return the base class if it calls ``_update_causal_mask``, else a subclass that does.

    Raises:
        EngineMissing: the base's forward takes no mask: the model would compute wrong results.
    """
    if hasattr(base, "_update_causal_mask"):
        return base
    module = sys.modules[base.__module__]
    if not hasattr(module, "create_causal_mask"):
        import transformers

        what = (
            f"{base.__module__}.{base.__qualname__} of transformers {transformers.__version__} "
            "neither calls _update_causal_mask nor takes a mask: results would be wrong"
        )
        raise EngineMissing(what, do="use another transformers release")

    # 5.24.0 renames the argument.
    cache_name = (
        "cache" if "cache" in inspect.signature(base.forward).parameters else "past_key_values"
    )

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
            """Run the base's forward with the mask of the override."""
            renamed = others.pop("cache", None)
            past = renamed if past_key_values is None else past_key_values
            embeds = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
            position = others.get("cache_position")
            if position is None:
                cached = 0 if past is None else past.get_seq_length()
                position = torch.arange(cached, cached + embeds.shape[1], device=embeds.device)
            attentions = bool(others.get("output_attentions"))
            # With four dimensions the base passes it to every layer unchanged.
            mask = self._update_causal_mask(attention_mask, embeds, position, past, attentions)
            if past is not None:
                others[cache_name] = past
            return super().forward(
                input_ids=input_ids,
                attention_mask=mask,
                position_ids=position_ids,
                inputs_embeds=inputs_embeds,
                **others,
            )

    CallingUpdateCausalMask.__name__ = base.__name__
    CallingUpdateCausalMask.__qualname__ = base.__qualname__
    return CallingUpdateCausalMask

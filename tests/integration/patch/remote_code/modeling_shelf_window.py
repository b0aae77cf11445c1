"""A tiny model whose generated tokens see the prompt and the last few, as Unlimited-OCR's do."""

import math

import torch
import torch.nn as nn
from transformers.cache_utils import Cache, DynamicCache
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    apply_rotary_pos_emb as _llama_apply_rotary_pos_emb,
    repeat_kv as _llama_repeat_kv,
    # LlamaFlashAttention2
)

from .configuration_shelf import ShelfConfig
from .modeling_shelf_decoder import ShelfForCausalLM, ShelfModel
from .shelf_tower import ShelfTower, with_images


class ShelfWindowConfig(ShelfConfig):
    model_type = "shelf-window"


class SlidingWindowLlamaAttention(LlamaAttention):
    """Cached keys: the prompt's, then a ring of the last ones that were generated."""

    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        if not hasattr(self, "rotary_emb"):
            from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

            self.rotary_emb = LlamaRotaryEmbedding(config=config)

    def _tensors(self, cache):
        if hasattr(cache, "key_cache"):
            return cache.key_cache[self.layer_idx], cache.value_cache[self.layer_idx]
        return cache.layers[self.layer_idx].keys, cache.layers[self.layer_idx].values

    def forward(self, *args, **kwargs):
        x, cache = kwargs["hidden_states"], kwargs.get("past_key_value")
        mask, position_ids = kwargs.get("attention_mask"), kwargs["position_ids"]
        window = getattr(self.config, "_ring_window", None)
        batch, tokens, _ = x.size()
        query, key, value = (
            layer(x).view(batch, tokens, heads, self.head_dim).transpose(1, 2)
            for layer, heads in (
                (self.q_proj, self.config.num_attention_heads),
                (self.k_proj, self.config.num_key_value_heads),
                (self.v_proj, self.config.num_key_value_heads),
            )
        )
        cos, sin = self.rotary_emb(value, position_ids)
        query, key = _llama_apply_rotary_pos_emb(query, key, cos, sin)
        if cache is not None:
            lengths = getattr(cache, "_prefill_length", None)
            full = False
            if window is not None and lengths and self.layer_idx in lengths:
                start = lengths[self.layer_idx]
                full = self._tensors(cache)[0].shape[-2] >= start + window
            if full:
                keys, values = self._tensors(cache)
                if not hasattr(cache, "_ring_pos"):
                    cache._ring_pos = {}
                at = cache._ring_pos.get(self.layer_idx, 0)
                keys[:, :, start + at : start + at + 1, :] = key
                values[:, :, start + at : start + at + 1, :] = value
                cache._ring_pos[self.layer_idx] = (at + 1) % window
                key, value, mask = keys, values, None
            else:
                key, value = cache.update(key, value, self.layer_idx)
                if window is not None and tokens > 1 and not lengths:
                    cache._prefill_length = {}
                if window is not None and tokens > 1:
                    cache._prefill_length.setdefault(self.layer_idx, key.shape[-2])
        key = _llama_repeat_kv(key, self.num_key_value_groups)
        value = _llama_repeat_kv(value, self.num_key_value_groups)
        weights = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(self.head_dim)
        if mask is not None:
            weights = weights + mask[:, :, :, : key.shape[-2]]
        weights = nn.functional.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
        weights = nn.functional.dropout(weights, p=self.attention_dropout, training=self.training)
        mixed = torch.matmul(weights, value).transpose(1, 2).contiguous()
        return self.o_proj(mixed.reshape(batch, tokens, -1)), None, cache


ATTENTION_CLASSES = {
    "mha_eager": SlidingWindowLlamaAttention,
    # "mha_flash_attention_2": LlamaFlashAttention2
}


class ShelfWindowModel(ShelfModel):
    config_class = ShelfWindowConfig
    attention_classes = ATTENTION_CLASSES

    def __init__(self, config):
        super(ShelfWindowModel, self).__init__(config)
        self.tower = ShelfTower(config.hidden_size)

    def forward(self, input_ids=None, inputs_embeds=None, past_key_values=None, **kwargs):
        if kwargs.get("use_cache") and not isinstance(past_key_values, Cache):
            past_key_values = DynamicCache.from_legacy_cache(past_key_values)
        kwargs = with_images(self, input_ids, inputs_embeds, kwargs)
        cached = past_key_values.get_seq_length() if past_key_values is not None else 0
        if kwargs["inputs_embeds"].shape[1] == 1 and cached:
            kwargs["attention_mask"] = None
        return super(ShelfWindowModel, self).forward(
            input_ids=None, past_key_values=past_key_values, **kwargs
        )


class ShelfWindowForCausalLM(ShelfForCausalLM):
    config_class = ShelfWindowConfig

    def __init__(self, config):
        super(ShelfForCausalLM, self).__init__(config)
        self.model = ShelfWindowModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def prepare_inputs_for_generation(
        self, input_ids, past_key_values=None, attention_mask=None, inputs_embeds=None, **kwargs
    ):
        past_length = 0
        if past_key_values is not None:
            if isinstance(past_key_values, Cache):
                cache_length = past_length = past_key_values.get_seq_length()
                most = getattr(past_key_values, "get_max_length", lambda: None)()
            else:
                cache_length = past_length = past_key_values[0][0].shape[2]
                most = None
            if hasattr(past_key_values, "_prefill_length") and past_length > 0:
                input_ids = input_ids[:, -1:]
            elif attention_mask is not None and attention_mask.shape[1] > input_ids.shape[1]:
                input_ids = input_ids[:, -(attention_mask.shape[1] - past_length) :]
            elif past_length < input_ids.shape[1]:
                input_ids = input_ids[:, past_length:]
            if (
                most is not None
                and attention_mask is not None
                and cache_length + input_ids.shape[1] > most
            ):
                attention_mask = attention_mask[:, -most:]
        position_ids = kwargs.get("position_ids", None)
        if attention_mask is not None and position_ids is None:
            position_ids = attention_mask.long().cumsum(-1) - 1
            position_ids.masked_fill_(attention_mask == 0, 1)
            if past_key_values:
                position_ids = position_ids[:, -input_ids.shape[1] :]
        first = past_length == 0
        return {
            "input_ids": input_ids,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "attention_mask": attention_mask,
            "images": kwargs.get("images", None) if first else None,
            "images_seq_mask": kwargs.get("images_seq_mask", None) if first else None,
        }

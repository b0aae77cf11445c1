"""Llama attention of transformers 4.46.3: its weights, its arguments, its three return values.

The models' decoders use it for full multi-head attention, as it is or as a base class. Each class
computes its own rotary embedding from ``position_ids``, as that release did.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Output = tuple[torch.Tensor, torch.Tensor | None, Any]


class LlamaRotaryEmbedding(nn.Module):
    """Cosine and sine of the default rotary embedding."""

    # 4.46.3 kept the inverse frequencies in a float32 buffer that is not saved: loading in another
    # dtype leaves it, ``model.to(bfloat16)`` rounds it. Later releases create such buffers without
    # content and never fill them, so this buffer only follows the dtype and device.

    inv_freq: torch.Tensor

    def __init__(self, config: Any, head_dim: int) -> None:
        super().__init__()
        scaling = getattr(config, "rope_scaling", None) or {}
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        if kind != "default":
            message = (
                f"rope_scaling {kind!r}: dsk's attention has the default rotary embedding only"
            )
            raise ValueError(message)
        theta = getattr(config, "rope_theta", None) or scaling["rope_theta"]
        self.theta, self.head_dim = theta, head_dim
        self.register_buffer(
            "inv_freq", torch.zeros(head_dim // 2, dtype=torch.float32), persistent=False
        )

    def frequencies(self) -> torch.Tensor:
        """Return (head size / 2,) in float32, rounded to the model's dtype as in 4.46.3."""
        step = torch.arange(0, self.head_dim, 2, dtype=torch.int64, device="cpu").float()
        exact = 1.0 / (self.theta ** (step / self.head_dim))
        return exact.to(self.inv_freq.dtype).to(self.inv_freq.device).float()

    @torch.no_grad()
    def forward(
        self, x: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosine and sine, (batch, tokens, head size), in ``x``'s dtype."""
        frequencies = self.frequencies()[None, :, None].to(x.device)
        with torch.autocast(device_type=x.device.type, enabled=False):
            angles = frequencies.expand(position_ids.shape[0], -1, 1)
            angles = (angles @ position_ids[:, None, :].float()).transpose(1, 2)
            angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def apply_rotary_pos_emb(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    position_ids: torch.Tensor | None = None,  # noqa: ARG001
    unsqueeze_dim: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply the rotary embedding, half-split: dimension i pairs with i + size / 2.

    Args:
        q: queries, (batch, heads, tokens, head size).
        k: keys, likewise.
        cos: (batch, tokens, head size).
        sin: likewise.
        position_ids: not read, as in 4.46.3.
        unsqueeze_dim: dimension of ``q`` and ``k`` that is the heads'.
    """
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return (q * cos) + (_turned(q) * sin), (k * cos) + (_turned(k) * sin)


def _turned(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def repeat_kv(hidden_states: torch.Tensor, n_rep: int) -> torch.Tensor:
    """Return (batch, heads, tokens, head size) with each head repeated ``n_rep`` times."""
    return hidden_states if n_rep == 1 else hidden_states.repeat_interleave(n_rep, dim=1)


class LlamaAttention(nn.Module):
    """Attention by two matrix products and a softmax in float32."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.attention_dropout = config.attention_dropout
        self.hidden_size = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.head_dim = getattr(config, "head_dim", None) or self.hidden_size // self.num_heads
        self.num_key_value_heads = config.num_key_value_heads
        self.num_key_value_groups = self.num_heads // self.num_key_value_heads
        self.max_position_embeddings = config.max_position_embeddings
        self.is_causal = True
        queries, keys = self.num_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        bias = config.attention_bias
        self.q_proj = nn.Linear(self.hidden_size, queries, bias=bias)
        self.k_proj = nn.Linear(self.hidden_size, keys, bias=bias)
        self.v_proj = nn.Linear(self.hidden_size, keys, bias=bias)
        self.o_proj = nn.Linear(queries, self.hidden_size, bias=bias)
        self.rotary_emb = LlamaRotaryEmbedding(config, self.head_dim)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_value: Any = None,
        output_attentions: bool = False,
        use_cache: bool = False,  # noqa: ARG002
        cache_position: torch.Tensor | None = None,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        **_: object,
    ) -> Output:
        """Attend.

        Args:
            hidden_states: (batch, tokens, hidden).
            attention_mask: additive (batch, 1, tokens, keys); for flash (batch, keys) of 1 and 0.
            position_ids: (batch, tokens); needed without ``position_embeddings``.
            past_key_value: the cache, or None.
            output_attentions: return the weights too, where they are computed.
            use_cache: not read; the cache is used when there is one.
            cache_position: (tokens,), for caches of fixed size.
            position_embeddings: cosine and sine, (batch, tokens, head size).

        Returns:
            (batch, tokens, hidden), the weights or None, the cache.
        """
        batch, tokens, _hidden = hidden_states.shape
        query, key, value = (
            projection(hidden_states).view(batch, tokens, -1, self.head_dim).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        if position_embeddings is None:
            cos, sin = self.rotary_emb(value, position_ids)
        else:
            cos, sin = position_embeddings
        query, key = apply_rotary_pos_emb(query, key, cos, sin)
        if past_key_value is not None:
            position = {"sin": sin, "cos": cos, "cache_position": cache_position}
            cached = past_key_value.update(key, value, self.layer_idx, position)
            # The first call attends to its own tensors: later caches return copies of another
            # memory layout, over which a matrix product adds up in another order (1e-5 seen).
            key, value = (key, value) if cached[0].shape == key.shape else cached
        mixed, weights = self.attend(query, key, value, attention_mask, position_ids)
        out = self.o_proj(mixed.reshape(batch, tokens, -1).contiguous())
        return out, weights if output_attentions else None, past_key_value

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        position_ids: torch.Tensor | None,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return (batch, tokens, heads, head size), and the weights if they are computed."""
        key, value = (repeat_kv(x, self.num_key_value_groups) for x in (key, value))
        weights = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(self.head_dim)
        if mask is not None:
            weights = weights + mask[:, :, :, : key.shape[-2]]
        weights = functional.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
        weights = functional.dropout(weights, p=self.attention_dropout, training=self.training)
        return torch.matmul(weights, value).transpose(1, 2), weights


class LlamaSdpaAttention(LlamaAttention):
    """Attention by torch's scaled dot product attention."""

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        position_ids: torch.Tensor | None,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return (batch, tokens, heads, head size); no weights."""
        key, value = (repeat_kv(x, self.num_key_value_groups) for x in (key, value))
        mixed = functional.scaled_dot_product_attention(
            query.contiguous(),
            key.contiguous(),
            value.contiguous(),
            attn_mask=None if mask is None else mask[:, :, :, : key.shape[-2]],
            dropout_p=self.attention_dropout if self.training else 0.0,
            is_causal=mask is None and query.shape[2] > 1,
        )
        return mixed.transpose(1, 2), None


class LlamaFlashAttention2(LlamaAttention):
    """Attention by flash attention; its mask is the two-dimensional one, or None."""

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        position_ids: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return (batch, tokens, heads, head size); no weights."""
        from transformers.modeling_flash_attention_utils import _flash_attention_forward

        # Layer norms kept in float32 leave float32 behind, which flash attention cannot take.
        dtype = self.q_proj.weight.dtype if query.dtype == torch.float32 else query.dtype
        mixed = _flash_attention_forward(
            *(x.transpose(1, 2).to(dtype) for x in (query, key, value)),
            mask,
            query.shape[2],
            is_causal=self.is_causal,
            dropout=self.attention_dropout if self.training else 0.0,
            position_ids=position_ids,
        )
        return mixed, None


class _AttentionClasses(dict[str, type[nn.Module]]):
    def __missing__(self, name: str) -> type[nn.Module]:
        message = f"attention {name!r} is not one this model has: {', '.join(self)}"
        raise KeyError(message)


def attention_classes(classes: dict[str, type[nn.Module]]) -> dict[str, type[nn.Module]]:
    """Return the model's map from names to classes, with SDPA added where Llama's is eager."""
    sdpa = {
        name.removesuffix("eager") + "sdpa": LlamaSdpaAttention
        for name, kind in classes.items()
        if kind is LlamaAttention and name.endswith("eager")
    }
    return _AttentionClasses(sdpa | classes)

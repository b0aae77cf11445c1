"""Qwen2 decoder that encodes: learned queries gather SAM's features, plain torch.

Parameters are named as the checkpoint names them under ``model.qwen2_model.``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.matrix.models import Qwen2Dimensions

# Cosine and sine of each position's angles, (positions, head size) each.
Rotation = tuple[Tensor, Tensor]


class QueryEncoder(nn.Module):
    """Qwen2 over SAM's features and as many queries: (N, C, G, G) to (N, G * G, C).

    The features see each other; a query sees all features and the queries up to itself. What is
    left of the queries after the last norm is the output.

    Args:
        record: the decoder's dimensions.
        sides: sides in pixels of the pictures that the model takes; each has queries of its own.
        cell: side in pixels of what one feature stands for.
    """

    def __init__(self, record: Qwen2Dimensions, sides: Iterable[int], cell: int) -> None:
        super().__init__()
        # Nested as in the published code, which wraps transformers' model twice.
        self.model = nn.Module()
        self.model.model = Qwen2Decoder(record)
        self.cell = cell
        for side in sorted(sides):
            queries = nn.Embedding((side // cell) ** 2, record.hidden_size)
            self.add_module(query_table(side), queries)

    def forward(self, features: Tensor) -> Tensor:
        """Encode ``features`` (N, C, G, G) to (N, G * G, C)."""
        x = features.flatten(2).transpose(1, 2)
        table = self.get_submodule(query_table(features.shape[-1] * self.cell))
        queries = table.weight.expand(len(x), -1, -1)
        return self.model.model(torch.cat((x, queries), 1))[:, x.shape[1] :]


def query_table(side: int) -> str:
    """Return the name of the queries for pictures of ``side`` pixels."""
    return f"query_{side}"


class Qwen2Decoder(nn.Module):
    """Stack of Qwen2 layers without token embeddings."""

    def __init__(self, record: Qwen2Dimensions) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Qwen2Layer(record) for _ in range(record.layers))
        self.norm = RmsNorm(record.hidden_size, record.rms_norm_eps)
        self.head_size = record.hidden_size // record.attention_heads
        self.theta = record.rope_theta

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers to (N, 2 * n, C): n features, then n queries."""
        count = x.shape[1] // 2
        rotation = rotations(x, self.head_size, self.theta)
        seen = visible_to_queries(count, x.device)
        for layer in self.layers:
            x = layer(x, rotation, seen)
        return self.norm(x)


class Qwen2Layer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, record: Qwen2Dimensions) -> None:
        super().__init__()
        self.self_attn = Qwen2Attention(record)
        self.mlp = GatedMlp(record.hidden_size, record.intermediate_size)
        self.input_layernorm = RmsNorm(record.hidden_size, record.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(record.hidden_size, record.rms_norm_eps)

    def forward(self, x: Tensor, rotation: Rotation, seen: Tensor) -> Tensor:
        """Apply the layer to (N, 2 * n, C)."""
        x = x + self.self_attn(self.input_layernorm(x), rotation, seen)
        return x + self.mlp(self.post_attention_layernorm(x))


class Qwen2Attention(nn.Module):
    """Grouped-query attention: features see features, queries features and earlier queries."""

    def __init__(self, record: Qwen2Dimensions) -> None:
        super().__init__()
        width, size = record.hidden_size, record.hidden_size // record.attention_heads
        self.shared_by = record.attention_heads // record.kv_heads
        self.size = size
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, record.kv_heads * size)
        self.v_proj = nn.Linear(width, record.kv_heads * size)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, rotation: Rotation, seen: Tensor) -> Tensor:
        """Attend within each image of (N, 2 * n, C); ``seen`` (n, 2 * n) is what queries see."""
        query, key, value = (
            layer(x).unflatten(-1, (-1, self.size)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, rotation), rotate(key, rotation)
        key, value = (part.repeat_interleave(self.shared_by, 1) for part in (key, value))
        count = len(seen)
        # In two parts: the fastest kernels take no mask, and half of the work needs none.
        among_features = functional.scaled_dot_product_attention(
            query[:, :, :count], key[:, :, :count], value[:, :, :count]
        )
        of_queries = functional.scaled_dot_product_attention(
            query[:, :, count:], key, value, attn_mask=seen
        )
        mixed = torch.cat((among_features, of_queries), 2)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class GatedMlp(nn.Module):
    """Two linear layers, gated by SiLU of a third."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the perceptron to (N, T, C)."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class RmsNorm(nn.Module):
    """Norm by the root of the mean square."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., C)."""
        # In float32, and rounded before the weight is applied, as transformers has it.
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * (wide * scale).to(x.dtype)


def rotations(x: Tensor, size: int, theta: float) -> Rotation:
    """Return the rotary embedding of each position of ``x`` (N, T, C), for heads of ``size``."""
    # Angles in float32 whatever the weights are: in bfloat16 positions past 256 would be the same.
    even = torch.arange(0, size, 2, dtype=torch.float32, device=x.device)
    positions = torch.arange(x.shape[1], dtype=torch.float32, device=x.device)
    angles = torch.outer(positions, 1 / theta ** (even / size)).repeat(1, 2)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate (N, heads, T, size) by the positions' angles: dimension i with i + size / 2."""
    cosine, sine = rotation
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat((-second, first), -1) * sine


def visible_to_queries(count: int, device: torch.device) -> Tensor:
    """Return the mask of ``count`` queries, (count, 2 * count): features, then earlier queries."""
    seen = torch.ones(count, 2 * count, dtype=torch.bool, device=device)
    return seen.tril(count)

"""CLIP-L encoder that takes SAM's features as its patches, plain torch.

Parameters are named as the checkpoint names them under ``model.vision_model.``.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from dsk.vllm_plugin.towers.sam import resize_grid

LAYERS: Final = 24
HEADS: Final = 16
PATCH: Final = 14
POSITIONS: Final = 16 * 16 + 1
EPS: Final = 1e-5


class ClipEncoder(nn.Module):
    """CLIP-L: SAM's features (N, C, G, G) to (N, G * G, C); the class token is dropped.

    Args:
        width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(width)
        # The checkpoint spells it so.
        self.pre_layrnorm = nn.LayerNorm(width, eps=EPS)
        self.transformer = Transformer(width)

    def forward(self, features: Tensor) -> Tensor:
        """Encode ``features`` (N, C, G, G) to (N, G * G, C)."""
        x = self.transformer(self.pre_layrnorm(self.embeddings(features)))
        return x[:, 1:]


class Embeddings(nn.Module):
    """Class token, patches and position embeddings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(width))
        # In the checkpoint, and never used: SAM's features are the patches.
        self.patch_embedding = nn.Conv2d(3, width, PATCH, stride=PATCH, bias=False)
        self.position_embedding = nn.Embedding(POSITIONS, width)

    def forward(self, features: Tensor) -> Tensor:
        """Embed features (N, C, G, G) to (N, 1 + G * G, C)."""
        patches = features.flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(patches), 1, -1)
        table = self.position_embedding.weight
        side = math.isqrt(len(table) - 1)
        grid = resize_grid(table[1:].view(1, side, side, -1), features.shape[-1])
        positions = torch.cat((table[:1], grid.flatten(0, 2)))
        return torch.cat((first, patches), 1) + positions


class Transformer(nn.Module):
    """Stack of transformer layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers to (N, T, C)."""
        for layer in self.layers:
            x = layer(x)
        return x


class Layer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = ClipAttention(width)
        self.layer_norm1 = nn.LayerNorm(width, eps=EPS)
        self.mlp = ClipMlp(width)
        self.layer_norm2 = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (N, T, C)."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class ClipAttention(nn.Module):
    """Self-attention over all tokens of an image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each image of (N, T, C)."""
        qkv = self.qkv_proj(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        x = functional.scaled_dot_product_attention(*qkv.unbind(0))
        return self.out_proj(x.transpose(1, 2).flatten(2))


class ClipMlp(nn.Module):
    """Two linear layers with the quick GELU between, x * sigmoid(1.702 x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the perceptron to (N, T, C)."""
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))

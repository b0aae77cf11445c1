"""SAM ViT-B image encoder with DeepSeek-OCR's neck: 16x compression, plain torch.

Parameters are named as the checkpoint names them under ``model.sam_model.``. Sizes are the
architecture's constants; no published implementation reads them from the configuration.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH: Final = 16
WIDTH: Final = 768
LAYERS: Final = 12
HEADS: Final = 12
WINDOW: Final = 14
GLOBAL_LAYERS: Final = (2, 5, 8, 11)
# Patches a side at the size SAM was trained with: 1024 px.
TRAINED_GRID: Final = 64

NECK_WIDTH: Final = 256
EPS: Final = 1e-6


class SamEncoder(nn.Module):
    """SAM with its neck: (N, 3, S, S) pixels to (N, C, S/64, S/64) features.

    Pixels are in -1..1, S is a multiple of 64. All images of a call have one size and are encoded
    in one pass.

    Args:
        channels: outputs of the two convolutions that halve the grid; the last one's is C.
    """

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding()
        self.pos_embed = nn.Parameter(torch.zeros(1, TRAINED_GRID, TRAINED_GRID, WIDTH))
        self.blocks = nn.ModuleList(
            Block(window=0 if layer in GLOBAL_LAYERS else WINDOW) for layer in range(LAYERS)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTH, NECK_WIDTH, 1, bias=False),
            ChannelNorm(NECK_WIDTH),
            nn.Conv2d(NECK_WIDTH, NECK_WIDTH, 3, padding=1, bias=False),
            ChannelNorm(NECK_WIDTH),
        )
        middle, features = channels
        self.net_2 = nn.Conv2d(NECK_WIDTH, middle, 3, stride=2, padding=1, bias=False)
        self.net_3 = nn.Conv2d(middle, features, 3, stride=2, padding=1, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode ``pixels`` (N, 3, S, S) to (N, C, S/64, S/64)."""
        x = self.patch_embed(pixels)
        x = x + resize_grid(self.pos_embed, x.shape[1])
        for block in self.blocks:
            x = block(x)
        return self.net_3(self.net_2(self.neck(x.permute(0, 3, 1, 2))))


class PatchEmbedding(nn.Module):
    """Patch embedding: pixels (N, 3, S, S) to patches (N, S/16, S/16, 768)."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed every 16 x 16 px patch."""
        # As one matrix multiplication: on an H100 it takes 0.15 ms, cuDNN's convolution took 2.17.
        patches = pixels.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH))
        rows = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)
        return functional.linear(rows, self.proj.weight.flatten(1), self.proj.bias)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each pixel's channels."""
        last = x.permute(0, 2, 3, 1)
        normed = functional.layer_norm(last, last.shape[-1:], self.weight, self.bias, EPS)
        return normed.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Transformer block; with ``window`` 0 it attends over the whole image."""

    def __init__(self, *, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(WIDTH, eps=EPS)
        self.attn = SamAttention(window or TRAINED_GRID)
        self.norm2 = nn.LayerNorm(WIDTH, eps=EPS)
        self.mlp = SamMlp()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to (N, H, W, 768)."""
        attend = self.windowed if self.window else self.attn
        x = x + attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def windowed(self, x: Tensor) -> Tensor:
        """Attend within windows of (N, H, W, 768)."""
        n, height, width, _ = x.shape
        side = self.window
        # The zeros that fill the last windows are attended to: the model was trained so.
        x = functional.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.view(n, rows, side, columns, side, WIDTH).transpose(2, 3)
        x = self.attn(x.reshape(-1, side, side, WIDTH))
        x = x.view(n, rows, columns, side, side, WIDTH).transpose(2, 3)
        return x.reshape(n, rows * side, columns * side, WIDTH)[:, :height, :width]


class SamAttention(nn.Module):
    """Attention over (N, S, S) tokens with decomposed relative positions, trained for ``grid``."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid - 1, WIDTH // HEADS))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid - 1, WIDTH // HEADS))

    def forward(self, x: Tensor) -> Tensor:
        """Attend over all tokens of (N, S, S, 768)."""
        n, side, _, _ = x.shape
        qkv = self.qkv(x).view(n, side * side, 3, HEADS, -1)
        down, right = (resize_table(table, side) for table in (self.rel_pos_h, self.rel_pos_w))
        if x.is_cuda:
            # Imported here: builds of torch for a CPU have no Triton.
            from dsk.vllm_plugin.towers import relative_attention

            scores = relative_attention.relative_scores(qkv[:, :, 0], down, right)
            x = relative_attention.attend(qkv, scores, side)
        else:
            x = plain_attention(qkv, down, right)
        return self.proj(x.view(n, side, side, WIDTH))


class SamMlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.lin2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the perceptron to (..., 768)."""
        return self.lin2(functional.gelu(self.lin1(x)))


def resize_grid(table: Tensor, side: int) -> Tensor:
    """Resize position embeddings (1, G, G, C) to a grid of ``side``: bicubic, antialiased."""
    if table.shape[1] == side:
        return table
    # In float32, as the published code: in bfloat16 the result differs.
    resized = functional.interpolate(
        table.permute(0, 3, 1, 2).float(), size=(side, side), mode="bicubic", antialias=True
    )
    return resized.to(table.dtype).permute(0, 2, 3, 1)


def resize_table(table: Tensor, side: int) -> Tensor:
    """Resize relative embeddings (2G - 1, C) to a grid of ``side``: linear, in float32."""
    wanted = 2 * side - 1
    if table.shape[0] == wanted:
        return table
    resized = functional.interpolate(table.T[None].float(), size=wanted, mode="linear")
    return resized[0].T.to(table.dtype)


def plain_attention(qkv: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Compute attention with relative positions by PyTorch's own kernels, for any device.

    Args:
        qkv: (N, S * S, 3, heads, size).
        down: (2 S - 1, size) relative embeddings by rows.
        right: the same by columns.

    Returns:
        (N, S * S, heads * size).
    """
    # The bias of a key is the query's score for the key's row plus that for its column. Queries
    # carry these scores and keys one-hot rows and columns, so their product adds the bias: plain
    # attention, without a bias of tokens by tokens (4096 x 4096 a head for a view of 1024 px).
    n, _, _, heads, size = qkv.shape
    side = (len(down) + 1) // 2
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    grid = query.unflatten(2, (side, side))
    by_row = torch.einsum("nahwc,hkc->nahwk", grid, by_query_and_key(down))
    by_column = torch.einsum("nahwc,wkc->nahwk", grid, by_query_and_key(right))
    positions = one_hot_positions(side, like=key).expand(n, heads, -1, -1)
    query = torch.cat((query * size**-0.5, by_row.flatten(2, 3), by_column.flatten(2, 3)), -1)
    key = torch.cat((key, positions), -1)
    # Padded to the keys' size: the flash kernels take one size only.
    value = functional.pad(value, (0, 2 * side))
    x = functional.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :size]
    return x.transpose(1, 2).flatten(2)


def by_query_and_key(table: Tensor) -> Tensor:
    """Expand relative embeddings (2S - 1, C) to (S, S, C), query by key."""
    side = (len(table) + 1) // 2
    position = torch.arange(side, device=table.device)
    return table[position[:, None] - position[None, :] + side - 1]


def one_hot_positions(side: int, *, like: Tensor) -> Tensor:
    """Return each token's row and column, one-hot: (side * side, 2 * side)."""
    hot = torch.eye(side, dtype=like.dtype, device=like.device)
    return torch.cat((hot.repeat_interleave(side, 0), hot.repeat(side, 1)), -1)

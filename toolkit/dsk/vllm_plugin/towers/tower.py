"""Vision tower: SAM, a second encoder, projector and layout, from uint8 pixels to embeddings.

The second encoder is CLIP, whose features join SAM's, or Qwen2, which encodes them. Tiles come
first, then the global view, then ``view_seperator``. Parameters are named as the checkpoint names
them under ``model.``, spelling included.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dsk.vllm_plugin.towers.clip import ClipEncoder
from dsk.vllm_plugin.towers.qwen2 import QueryEncoder
from dsk.vllm_plugin.towers.sam import PATCH, SamEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsk.models.base import ModelProfile


class VisionTower(nn.Module):
    """Vision tower of a model.

    Args:
        profile: the model's, whose vision record says which encoder follows SAM.
        width: the decoder's hidden size.
        patches_per_pass: the most 16 px patches that the towers take in one pass. A step with more
            is encoded in several, so that activations stay within the memory that vLLM profiled.
    """

    def __init__(self, profile: ModelProfile, width: int, patches_per_pass: int) -> None:
        super().__init__()
        vision = profile.record.vision
        self.patches_per_pass = patches_per_pass
        self.sam_model = SamEncoder(vision.downsample_channels)
        if vision.clip:
            self.vision_model = ClipEncoder(vision.clip.width)
        if vision.qwen2:
            self.qwen2_model = QueryEncoder(vision.qwen2, profile.picture_sides, profile.cell)
        self.joins_clip = vision.clip is not None
        self.projector = Projector(vision.features, width)
        self.image_newline = separator(width) if vision.row_ends else None
        self.view_seperator = separator(width)

    def forward(self, views: list[Tensor], tiles: list[Tensor]) -> list[Tensor]:
        """Embed images, all views in one pass and all tiles in another.

        Args:
            views: (S, S, 3) uint8 for each image.
            tiles: (rows, columns, T, T, 3) uint8 for each image; rows and columns are 0 for one
                without tiles.

        Returns:
            (image tokens, width) for each image.
        """
        encoded_views = self.encode(views)
        flat = [image.flatten(0, 1) for image in tiles]
        encoded_tiles = iter(self.encode([tile for image in flat for tile in image]))
        rows = []
        for view, image in zip(encoded_views, tiles, strict=True):
            blocks = [self.lay_out(view[None], 1), self.view_seperator[None]]
            if image.shape[0]:
                own = torch.stack(
                    [next(encoded_tiles) for _ in range(image.shape[0] * image.shape[1])]
                )
                blocks.insert(0, self.lay_out(own, image.shape[1]))
            rows.append(torch.cat(blocks))
        return rows

    def encode(self, images: list[Tensor]) -> list[Tensor]:
        """Encode (S, S, 3) uint8 images to ((S/64)^2, width) tokens each, size by size."""
        encoded: dict[int, Tensor] = {}
        for size in sorted({image.shape[0] for image in images}):
            indices = [i for i, image in enumerate(images) if image.shape[0] == size]
            at_once = max(1, self.patches_per_pass // (size // PATCH) ** 2)
            for start in range(0, len(indices), at_once):
                batch = indices[start : start + at_once]
                tokens = self.encode_batch(torch.stack([images[i] for i in batch]))
                encoded.update(zip(batch, tokens.unbind(0), strict=True))
        return [encoded[i] for i in range(len(images))]

    def encode_batch(self, pixels: Tensor) -> Tensor:
        """Encode (N, S, S, 3) uint8 to (N, (S/64)^2, width) tokens."""
        sam = self.sam_model(normalise(pixels).to(self.view_seperator.dtype))
        return self.projector(self.second_encoder(sam))

    def second_encoder(self, sam: Tensor) -> Tensor:
        """Encode SAM's features (N, C, G, G) to what the projector takes, (N, G * G, features)."""
        if self.joins_clip:
            return torch.cat((self.vision_model(sam), sam.flatten(2).transpose(1, 2)), -1)
        return self.qwen2_model(sam)

    def lay_out(self, pictures: Tensor, columns: int) -> Tensor:
        """Put the tokens of pictures (M, G * G, width), ``columns`` in a row, into their order.

        Where rows of cells end with ``image_newline``, they go on over the pictures of a row;
        elsewhere the tokens of one picture follow those of another.
        """
        if self.image_newline is None:
            return pictures.flatten(0, 1)
        side = math.isqrt(pictures.shape[1])
        cells = stitch_tiles(pictures.unflatten(1, (side, side)), columns)
        ends = self.image_newline.expand(len(cells), 1, -1)
        return torch.cat((cells, ends), 1).flatten(0, 1)


class Projector(nn.Module):
    """Projector: features of a cell to the decoder's width."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Linear(features, width)

    def forward(self, x: Tensor) -> Tensor:
        """Project (..., features) to (..., width)."""
        return self.layers(x)


def separator(width: int) -> nn.Parameter:
    """Return an embedding of its own that stands between others, (width,)."""
    return nn.Parameter(torch.randn(width) * width**-0.5)


def tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert pixels to a tensor, with a copy if they are read-only."""
    # Pillow's arrays are read-only, and torch has no tensors that are: it would warn.
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())


def normalise(pixels: Tensor) -> Tensor:
    """Convert (N, S, S, 3) uint8 to (N, 3, S, S) float32 in -1..1, bit by bit as vLLM does."""
    # The divisor is a tensor: given a plain number, CUDA kernels multiply by its reciprocal, which
    # is off by a bit for some of the 256 values.
    x = pixels.permute(0, 3, 1, 2).float()
    return x.div(x.new_full((), 255)).sub(0.5).div(0.5)


def stitch_tiles(tiles: Tensor, columns: int) -> Tensor:
    """Stitch tiles (rows * columns, G, G, C), row by row, to (rows * G, columns * G, C)."""
    grid = tiles.unflatten(0, (-1, columns)).transpose(1, 2)
    return grid.flatten(2, 3).flatten(0, 1)

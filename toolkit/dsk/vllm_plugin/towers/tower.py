"""Vision tower: SAM, CLIP, projector and layout, from uint8 pixels to image embeddings.

Every row of cells ends with ``image_newline``; tiles come first, then the global view, then
``view_seperator``. Parameters are named as the checkpoint names them under ``model.``, spelling
included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dsk.vllm_plugin.towers.clip import ClipEncoder
from dsk.vllm_plugin.towers.sam import PATCH, SamEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsk.matrix.models import Vision


class VisionTower(nn.Module):
    """Vision tower of the model.

    Args:
        vision: the towers' dimensions.
        width: the decoder's hidden size.
        patches_per_pass: the most 16 px patches that the towers take in one pass. A step with more
            is encoded in several, so that activations stay within the memory that vLLM profiled.
    """

    def __init__(self, vision: Vision, width: int, patches_per_pass: int) -> None:
        super().__init__()
        self.patches_per_pass = patches_per_pass
        self.sam_model = SamEncoder(vision.downsample_channels)
        self.vision_model = ClipEncoder(vision.clip_width)
        self.projector = Projector(vision.features, width)
        self.image_newline = nn.Parameter(torch.randn(width) * width**-0.5)
        self.view_seperator = nn.Parameter(torch.randn(width) * width**-0.5)

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
            blocks = [self.with_row_ends(view), self.view_seperator[None]]
            if image.shape[0]:
                own = torch.stack(
                    [next(encoded_tiles) for _ in range(image.shape[0] * image.shape[1])]
                )
                blocks.insert(0, self.with_row_ends(stitch_tiles(own, image.shape[1])))
            rows.append(torch.cat(blocks))
        return rows

    def encode(self, images: list[Tensor]) -> list[Tensor]:
        """Encode (S, S, 3) uint8 images to (S/64, S/64, width) cells each, size by size."""
        encoded: dict[int, Tensor] = {}
        for size in sorted({image.shape[0] for image in images}):
            indices = [i for i, image in enumerate(images) if image.shape[0] == size]
            at_once = max(1, self.patches_per_pass // (size // PATCH) ** 2)
            for start in range(0, len(indices), at_once):
                batch = indices[start : start + at_once]
                cells = self.encode_batch(torch.stack([images[i] for i in batch]))
                encoded.update(zip(batch, cells.unbind(0), strict=True))
        return [encoded[i] for i in range(len(images))]

    def encode_batch(self, pixels: Tensor) -> Tensor:
        """Encode (N, S, S, 3) uint8 to (N, S/64, S/64, width) cells."""
        sam = self.sam_model(normalise(pixels).to(self.image_newline.dtype))
        clip = self.vision_model(sam)
        cells = self.projector(torch.cat((clip, sam.flatten(2).transpose(1, 2)), -1))
        return cells.unflatten(1, sam.shape[2:])

    def with_row_ends(self, cells: Tensor) -> Tensor:
        """Append ``image_newline`` to every row: (H, W, width) to (H * (W + 1), width)."""
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

"""The whole vision tower: uint8 views and tiles to the rows of image embeddings.

SAM, CLIP, the projector, and the two-dimensional layout: every row of cells ends with
``image_newline``; tiles come first, then the global view, then ``view_seperator`` (sic).
Parameters are named as the checkpoint names them under ``model.``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from dsk.vllm_plugin.towers.clip import ClipEncoder
from dsk.vllm_plugin.towers.sam import PATCH, SamEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEATURES: Final = 2048
"""CLIP's 1024 and SAM's 1024 of a cell, in this order."""


class VisionTower(nn.Module):
    """Images to embeddings of ``width``.

    Args:
        width: the decoder's hidden size; 1280 in the published model.
        patches_per_pass: how many 16 px patches the towers take in one pass. A step beyond it is
            encoded in several, so that activations stay within what was profiled.
    """

    def __init__(self, width: int, patches_per_pass: int) -> None:
        super().__init__()
        self.patches_per_pass = patches_per_pass
        self.sam_model = SamEncoder()
        self.vision_model = ClipEncoder()
        self.projector = Projector(width)
        self.image_newline = nn.Parameter(torch.randn(width) * width**-0.5)
        self.view_seperator = nn.Parameter(torch.randn(width) * width**-0.5)

    def forward(self, views: list[Tensor], tiles: list[Tensor]) -> list[Tensor]:
        """Embed images, all views in one pass and all tiles in another.

        Args:
            views: (S, S, 3) uint8 an image.
            tiles: (rows, columns, T, T, 3) uint8 an image, rows and columns 0 when not cut.

        Returns:
            An (image tokens, width) tensor an image.
        """
        whole = self.encode(views)
        cut = [image.flatten(0, 1) for image in tiles]
        parts = iter(self.encode([tile for image in cut for tile in image]))
        rows = []
        for view, image in zip(whole, tiles, strict=True):
            blocks = [self.with_row_ends(view), self.view_seperator[None]]
            if image.shape[0]:
                own = torch.stack([next(parts) for _ in range(image.shape[0] * image.shape[1])])
                blocks.insert(0, self.with_row_ends(stitch_tiles(own, image.shape[1])))
            rows.append(torch.cat(blocks))
        return rows

    def encode(self, images: list[Tensor]) -> list[Tensor]:
        """(S, S, 3) uint8 images to (S/64, S/64, width) cells each, one size after the other."""
        encoded: dict[int, Tensor] = {}
        for size in sorted({image.shape[0] for image in images}):
            places = [i for i, image in enumerate(images) if image.shape[0] == size]
            at_once = max(1, self.patches_per_pass // (size // PATCH) ** 2)
            for start in range(0, len(places), at_once):
                some = places[start : start + at_once]
                cells = self.cells(torch.stack([images[i] for i in some]))
                encoded.update(zip(some, cells.unbind(0), strict=True))
        return [encoded[i] for i in range(len(images))]

    def cells(self, pixels: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 to (N, S/64, S/64, width)."""
        sam = self.sam_model(normalise(pixels).to(self.image_newline.dtype))
        clip = self.vision_model(sam)
        cells = self.projector(torch.cat((clip, sam.flatten(2).transpose(1, 2)), -1))
        return cells.unflatten(1, sam.shape[2:])

    def with_row_ends(self, cells: Tensor) -> Tensor:
        """(H, W, width) to (H * (W + 1), width)."""
        ends = self.image_newline.expand(len(cells), 1, -1)
        return torch.cat((cells, ends), 1).flatten(0, 1)


class Projector(nn.Module):
    """Features of a cell to the decoder's width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Linear(FEATURES, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., 2048) to (..., width)."""
        return self.layers(x)


def tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """``pixels`` as a tensor of its own: Pillow's arrays are read-only, torch's must not be."""
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())


def normalise(pixels: Tensor) -> Tensor:
    """(N, S, S, 3) uint8 to (N, 3, S, S) float32 from -1 to 1, bit by bit as vLLM's own processor.

    The divisor is a tensor because CUDA kernels multiply by the reciprocal of a plain number, which
    is off by a bit for some of the 256 values.
    """
    x = pixels.permute(0, 3, 1, 2).float()
    return x.div(x.new_full((), 255)).sub(0.5).div(0.5)


def stitch_tiles(tiles: Tensor, columns: int) -> Tensor:
    """(rows * columns, G, G, C), row by row, to the sheet (rows * G, columns * G, C)."""
    grid = tiles.unflatten(0, (-1, columns)).transpose(1, 2)
    return grid.flatten(2, 3).flatten(0, 1)

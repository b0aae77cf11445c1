"""DeepSeek-OCR: its tile rule and its token rule, as `docs/official-behaviour.md` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dsk.models.base import Grid, ModelProfile, Resolution, Views

if TYPE_CHECKING:
    from PIL import Image


class DeepseekOcrResolution(Resolution):
    """A resolution of DeepSeek-OCR."""

    def grid(self, width: int, height: int) -> Grid:
        """Return the grid whose aspect ratio is nearest to the image's."""
        if not self.tile or (width <= self.tile and height <= self.tile):
            return (1, 1)
        best, least = (1, 1), float("inf")
        for columns, rows in self.grids:
            difference = abs(width / height - columns / rows)
            # On a tie the published code takes the larger grid for an image that fills half of it.
            fills = width * height > 0.5 * self.tile**2 * columns * rows
            if difference < least or (difference == least and fills):
                best, least = (columns, rows), difference
        return best

    def tokens(self, grid: Grid) -> int:
        """Return the vision tokens: rows of cells, each with its end, and one separator."""
        count = self.cells * (self.cells + 1) + 1
        if grid != (1, 1):
            columns, rows = (self.tile // self.cell * tiles for tiles in grid)
            count += rows * (columns + 1)
        return count


class DeepseekOcrProfile(ModelProfile):
    """The profile of DeepSeek-OCR."""

    resolution_class: ClassVar[type[Resolution]] = DeepseekOcrResolution

    def prepare(self, image: Image.Image, resolution: Resolution) -> Views:
        """Cut an image into a view and tiles."""
        # numpy and Pillow are not needed by those who only count.
        from dsk.models.deepseek_ocr import pixels

        return pixels.views(image, resolution)


PROFILE_CLASS = DeepseekOcrProfile

"""Rules that the models' published code has in common: tiles, tokens, pixels.

They are described in docs/official-behaviour.md. The numbers in them are of a model's table; a
model whose rules differ has its own subclasses, in its folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dsk.models.base import Grid, ModelProfile, Resolution, Views

if TYPE_CHECKING:
    from PIL import Image


class TiledResolution(Resolution):
    """A resolution with a view and, if it has tiles, the grid nearest to a page's shape."""

    def grid(self, width: int, height: int) -> Grid:
        """Return the grid whose aspect ratio is nearest to the image's.

        It is (1, 1) for an image that is no larger than a tile.
        """
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
        """Return the vision tokens: the cells of view and tiles, ends of rows, one separator."""
        count = self.cells * (self.cells + self.row_ends) + 1
        if grid != (1, 1):
            columns, rows = (self.tile // self.cell * tiles for tiles in grid)
            count += rows * (columns + self.row_ends)
        return count


class TiledProfile(ModelProfile):
    """A model of which a page is a view and, in most resolutions, tiles."""

    resolution_class: ClassVar[type[Resolution]] = TiledResolution

    def prepare(self, image: Image.Image, resolution: Resolution) -> Views:
        """Cut an image into a view and tiles."""
        # numpy and Pillow are not needed by those who only count.
        from dsk.models import pixels

        return pixels.views(image, resolution)

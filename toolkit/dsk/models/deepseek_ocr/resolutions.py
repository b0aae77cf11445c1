"""The model's resolutions: how a page is cut in each, and how many tokens it takes; numbers only.

The rule is the model's own (docs/official-behaviour.md, "Tiles").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dsk.errors import UsageProblem

CELL: Final = 64
"""Pixels a side that one vision token stands for: patches of 16, compressed 4 x 4."""

MIN_TILES: Final = 2
MAX_TILES: Final = 6

GRIDS: Final = tuple(
    sorted(
        (
            (columns, rows)
            for columns in range(1, MAX_TILES + 1)
            for rows in range(1, MAX_TILES + 1)
            if MIN_TILES <= columns * rows <= MAX_TILES
        ),
        key=lambda grid: (grid[0] * grid[1], grid),
    )
)
"""Every (columns, rows) a page can be cut into, by tile count."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One of the model's resolutions. ``view`` and ``tile`` are sides in pixels; 0 is no tiles."""

    name: str
    view: int
    tile: int = 0

    @property
    def max_tokens(self) -> int:
        """The most vision tokens an image can take: 933 in Gundam mode."""
        if not self.tile:
            return self.tokens((1, 1))
        return max(self.tokens(grid) for grid in GRIDS)

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """(columns, rows) of tiles for an image of ``width`` x ``height`` px; (1, 1) is none."""
        if not self.tile or (width <= self.tile and height <= self.tile):
            return (1, 1)
        best, least = (1, 1), float("inf")
        for columns, rows in GRIDS:
            away = abs(width / height - columns / rows)
            big = width * height > 0.5 * self.tile**2 * columns * rows
            if away < least or (away == least and big):
                best, least = (columns, rows), away
        return best

    def tokens(self, grid: tuple[int, int]) -> int:
        """Vision tokens of an image cut into ``grid``: rows with their ends, one separator."""
        return token_count(self.view, self.tile, grid)


MODES: Final = {
    mode.name: mode
    for mode in (
        Mode(name="tiny", view=512),
        Mode(name="small", view=640),
        Mode(name="base", view=1024),
        Mode(name="large", view=1280),
        Mode(name="gundam", view=1024, tile=640),
    )
}


def token_count(view: int, tile: int, grid: tuple[int, int]) -> int:
    """Vision tokens of a view and a ``grid`` of tiles, sides in pixels."""
    side = view // CELL
    count = side * (side + 1) + 1
    if grid != (1, 1):
        columns, rows = (tile // CELL * tiles for tiles in grid)
        count += rows * (columns + 1)
    return count


def mode_named(name: str) -> Mode:
    """The mode called ``name``. Raises `UsageProblem` for any other word."""
    if name not in MODES:
        message = f"unknown mode '{name}'"
        raise UsageProblem(message, do=f"choose one of {', '.join(MODES)}")
    return MODES[name]

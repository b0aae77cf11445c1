"""The published rules of tiles, tokens and pixels once more, plain and slow."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

GREY = (127, 127, 127)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The constants of one model's published code."""

    tile: int
    most: int
    newline: bool
    view: int = 1024

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows: every pair of factors of every number of tiles, smallest first."""
        if max(width, height) <= self.tile:
            return (1, 1)
        best, gap = (1, 1), 1e9
        for area in range(2, self.most + 1):
            for columns in range(1, self.most + 1):
                if area % columns:
                    continue
                grid = (columns, area // columns)
                this = abs(width / height - grid[0] / grid[1])
                if this < gap:
                    best, gap = grid, this
                elif this == gap and width * height > 0.5 * self.tile * self.tile * area:
                    best = grid
        return best

    def sequence(self, width: int, height: int) -> str:
        """A letter for each vision token, in their order: cell, end of a row, separator."""
        columns, rows = self.grid(width, height)
        row_end = "n" if self.newline else ""
        local = ""
        if columns > 1 or rows > 1:
            for _ in range(rows * self.tile // 64):
                local += "t" * (columns * self.tile // 64) + row_end
        view = ("v" * (self.view // 64) + row_end) * (self.view // 64)
        return local + view + "s"

    def pictures(self, image: Image.Image) -> tuple[np.ndarray, list[np.ndarray]]:
        """The whole page, padded, and the tiles."""
        columns, rows = self.grid(*image.size)
        view = np.asarray(ImageOps.pad(image, (self.view, self.view), color=GREY))
        if (columns, rows) == (1, 1):
            return view, []
        sheet = image.resize((self.tile * columns, self.tile * rows))
        boxes = [
            (self.tile * x, self.tile * y, self.tile * x + self.tile, self.tile * y + self.tile)
            for y in range(rows)
            for x in range(columns)
        ]
        return view, [np.asarray(sheet.crop(box)) for box in boxes]


RULES = {
    "deepseek-ocr": Rule(tile=640, most=6, newline=True),
    "deepseek-ocr-2": Rule(tile=768, most=6, newline=False),
    "unlimited-ocr": Rule(tile=640, most=32, newline=True),
}


def sizes(count: int, seed: int = 7) -> list[tuple[int, int]]:
    """Half of them free, half exact multiples of small ratios, where ties between grids lie."""
    rng = random.Random(seed)
    free = [(rng.randint(8, 1500), rng.randint(8, 1500)) for _ in range(count // 2)]
    ties = []
    for _ in range(count - len(free)):
        unit = rng.randint(40, 330)
        ties.append((rng.randint(1, 8) * unit // 2, rng.randint(1, 8) * unit // 2))
    return free + ties


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

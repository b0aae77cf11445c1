"""The views of DeepSeek-OCR, and what they are cut by."""

from __future__ import annotations

from typing import Final

from dsk.models.base import Views
from dsk.models.deepseek_ocr.pixels import views
from dsk.models.deepseek_ocr.resolutions import _PROFILE, MODES, Mode, mode_named

__all__ = ["CELL", "GRIDS", "MAX_TILES", "MODES", "Mode", "Views", "mode_named", "views"]

CELL: Final = _PROFILE.cell
GRIDS: Final = _PROFILE.grids
MAX_TILES: Final = _PROFILE.record.vision.max_tiles


def token_count(view: int, tile: int, grid: tuple[int, int]) -> int:
    """Return the vision tokens of a view and a grid of tiles, sides in pixels."""
    return _PROFILE.custom_resolution(view, tile).tokens(grid)

"""What both engines' processors do with a request, short of tensors: its modes, places, names."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dsk.errors import UsageProblem
from dsk.models.deepseek_ocr.tiles import CELL, GRIDS, MODES, Mode, Views, mode_named, token_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

IMAGE_TOKEN: Final = "<image>"  # noqa: S105  a placeholder, not a secret
DEFAULT_MODE: Final = MODES["gundam"].name

TILE: Final = MODES["gundam"].tile
"""Side in px of every tile: V1 sends a step's tiles as one tensor."""

LARGEST_VIEW: Final = max(mode.view for mode in MODES.values())


def engine_mode(settings: Mapping[str, Any] | None, hf_config: Any) -> Mode:
    """The engine's mode.

    Args:
        settings: the engine's ``mm_processor_kwargs``; ``{"mode": ...}`` comes first.
        hf_config: the checkpoint's configuration, whose ``dsk_mode`` comes next.

    Raises:
        UsageProblem: the mode has another name.
    """
    own = getattr(hf_config, "dsk_mode", DEFAULT_MODE)
    return mode_named((settings or {}).get("mode") or own)


def requested_mode(settings: Mapping[str, object]) -> Mode | None:
    """The mode that a request's own ``mm_processor_kwargs`` name, if they do.

    Raises:
        ValueError: they name another than the five, or set something else.
    """
    if unknown := sorted(settings.keys() - {"mode"}):
        message = f"{', '.join(unknown)} is set for a request: only mode can be"
        raise ValueError(message)
    if "mode" not in settings:
        return None
    try:
        return mode_named(str(settings["mode"]))
    except UsageProblem as problem:
        message = f"{problem}: choose one of {', '.join(MODES)}"
        raise ValueError(message) from problem


def check_views(page: Views) -> None:
    """Refuse arrays that no mode makes.

    Raises:
        ValueError: they are not uint8, or not of a side that the towers take.
    """
    view, tiles = page.view, page.tiles
    side = view.shape[0]
    tile = TILE if tiles.size else tiles.shape[-2]
    fits = (
        view.dtype == tiles.dtype == np.uint8
        and view.shape == (side, side, 3)
        and side % CELL == 0
        and 0 < side <= LARGEST_VIEW
        and tiles.shape[2:] == (tile, tile, 3)
    )
    if not fits:
        message = f"no mode has a view of {view.shape} and tiles of {tiles.shape}"
        raise ValueError(message)


def count_tokens(view: Any, tiles: Any) -> int:
    """Vision tokens of a page, by the shapes of its (S, S, 3) view and (R, C, T, T, 3) tiles."""
    rows, columns, tile = tiles.shape[:3]
    return token_count(view.shape[0], tile, (columns, rows) if rows else (1, 1))


def expand_placeholders(
    prompt: list[int], image: int, counts: list[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """The prompt with each ``image`` as often as it has tokens, and (offset, length) of each.

    Raises:
        ValueError: the prompt has not as many of them as ``counts``.
    """
    if (places := prompt.count(image)) != len(counts):
        message = (
            f"the prompt has {places} places for {len(counts)} images: write one {IMAGE_TOKEN} each"
        )
        raise ValueError(message)
    tokens: list[int] = []
    ranges: list[tuple[int, int]] = []
    for token in prompt:
        if token == image:
            ranges.append((len(tokens), counts[len(ranges)]))
        tokens += [image] * ranges[-1][1] if token == image else [token]
    return tokens, ranges


def cache_keys(pages: list[Views], own: Sequence[str | None] | None) -> Iterator[str]:
    """What vLLM's caches call each page: no two pages are the same, so nothing is hashed.

    A request's own names are kept, with the resolution: a page may be asked for again in another.
    """
    for page, name in zip(pages, own or [None] * len(pages), strict=True):
        rows, columns = page.tiles.shape[:2]
        yield f"{name or secrets.token_hex(16)}-{page.view.shape[0]}-{columns}x{rows}"


def largest_page(mode: Mode) -> Views:
    """A blank image with the mode's most tokens."""
    view = np.zeros((mode.view, mode.view, 3), np.uint8)
    columns, rows = max(GRIDS, key=mode.tokens) if mode.tile else (0, 0)
    return Views(view=view, tiles=np.zeros((rows, columns, mode.tile, mode.tile, 3), np.uint8))

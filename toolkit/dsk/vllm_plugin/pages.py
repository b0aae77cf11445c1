"""Requests to either engine, short of tensors: modes, placeholders, token counts, cache keys."""

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
"""Side of every tile in px. V1 sends a step's tiles as one tensor, so they have one size."""

LARGEST_VIEW: Final = max(mode.view for mode in MODES.values())


def engine_mode(settings: Mapping[str, Any] | None, hf_config: Any) -> Mode:
    """Return the engine's mode.

    Args:
        settings: the engine's ``mm_processor_kwargs``; its ``mode`` comes first.
        hf_config: the checkpoint's configuration, whose ``dsk_mode`` comes next.

    Raises:
        UsageProblem: there is no mode of that name.
    """
    own = getattr(hf_config, "dsk_mode", DEFAULT_MODE)
    return mode_named((settings or {}).get("mode") or own)


def requested_mode(settings: Mapping[str, object]) -> Mode | None:
    """Return the mode that a request's own ``mm_processor_kwargs`` name; None if they name none.

    Raises:
        ValueError: they name an unknown mode, or set anything else.
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
    """Refuse arrays that are not of a mode's shapes.

    Raises:
        ValueError: they are not uint8, or their sides are not what the towers take.
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
    """Count a page's vision tokens, from its (S, S, 3) view and (R, C, T, T, 3) tiles."""
    rows, columns, tile = tiles.shape[:3]
    return token_count(view.shape[0], tile, (columns, rows) if rows else (1, 1))


def expand_placeholders(
    prompt: list[int], image: int, counts: list[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Repeat each image placeholder of a prompt as often as its image has tokens.

    Args:
        prompt: the prompt's token ids.
        image: the placeholder's token id.
        counts: tokens of each image, in the prompt's order.

    Returns:
        The token ids, and the (offset, length) of each image in them.

    Raises:
        ValueError: the prompt has more or fewer placeholders than there are images.
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
    """Yield the key of each page in vLLM's caches.

    Args:
        pages: the request's pages.
        own: keys that came with the request, if any did.
    """
    # Hashing megabytes of pixels would buy nothing: no page is read twice. The resolution is part
    # of the key because a client may ask for a page again in another one.
    for page, name in zip(pages, own or [None] * len(pages), strict=True):
        rows, columns = page.tiles.shape[:2]
        yield f"{name or secrets.token_hex(16)}-{page.view.shape[0]}-{columns}x{rows}"


def largest_page(mode: Mode) -> Views:
    """Return a blank page with the most tokens of a mode, to profile memory with."""
    view = np.zeros((mode.view, mode.view, 3), np.uint8)
    columns, rows = max(GRIDS, key=mode.tokens) if mode.tile else (0, 0)
    return Views(view=view, tiles=np.zeros((rows, columns, mode.tile, mode.tile, 3), np.uint8))

"""Requests to either engine, short of tensors: modes, placeholders, token counts, cache keys."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from dsk import models
from dsk.errors import UsageProblem
from dsk.models import configuration
from dsk.models.base import Views

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dsk.models.base import ModelProfile, Resolution


def profile_of(hf_config: Any) -> ModelProfile:
    """Return the profile of a checkpoint's configuration, by its architecture.

    Raises:
        UsageProblem: it has none that dsk knows, and fits no profile by all else either.
    """
    names = getattr(hf_config, "architectures", None)
    return models.find_architecture(names) or configuration.profile_of(
        hf_config.to_dict() if hasattr(hf_config, "to_dict") else vars(hf_config)
    )


def engine_mode(settings: Mapping[str, Any] | None, hf_config: Any) -> Resolution:
    """Return the engine's mode.

    Args:
        settings: the engine's ``mm_processor_kwargs``; its ``mode`` comes first.
        hf_config: the checkpoint's configuration, whose ``dsk_mode`` comes next.

    Raises:
        UsageProblem: there is no mode of that name.
    """
    profile = profile_of(hf_config)
    name = (settings or {}).get("mode") or getattr(hf_config, "dsk_mode", None)
    return profile.resolution(name) if name else profile.default_resolution


def requested_mode(profile: ModelProfile, settings: Mapping[str, object]) -> Resolution | None:
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
        return profile.resolution(str(settings["mode"]))
    except UsageProblem as problem:
        message = f"{problem}: choose one of {', '.join(profile.resolutions)}"
        raise ValueError(message) from problem


def mode_of_images(profile: ModelProfile, mode: Resolution, count: int) -> Resolution:
    """Return the mode of a request's images where it names none.

    Args:
        profile: the model's, which may have a mode of its own for several images.
        mode: the engine's.
        count: images of the request.
    """
    several = profile.record.several_images
    return profile.resolution(several) if several and count > 1 and mode.tile else mode


def check_views(profile: ModelProfile, page: Views) -> None:
    """Refuse arrays that are not of a mode's shapes.

    Raises:
        ValueError: they are not uint8, or their sides are not what the towers take, or the tiles
            are no grid of the model's.
    """
    view, tiles = page.view, page.tiles
    side = view.shape[0]
    # V1 sends a step's tiles as one tensor, so all have one size.
    tile = profile.tile if tiles.size else tiles.shape[-2]
    fits = (
        view.dtype == tiles.dtype == np.uint8
        and view.shape == (side, side, 3)
        and profile.takes_view(side)
        and tiles.shape[2:] == (tile, tile, 3)
        and (page.grid in profile.grids or tiles.shape[:2] == (0, 0))
    )
    if not fits:
        message = f"no mode has a view of {view.shape} and tiles of {tiles.shape}"
        raise ValueError(message)


def count_tokens(profile: ModelProfile, view: Any, tiles: Any) -> int:
    """Count a page's vision tokens, from its (S, S, 3) view and (R, C, T, T, 3) tiles."""
    rows, columns, tile = tiles.shape[:3]
    resolution = profile.custom_resolution(view.shape[0], tile)
    return resolution.tokens((columns, rows) if rows else (1, 1))


def expand_placeholders(
    profile: ModelProfile, prompt: list[int], image: int, counts: list[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Repeat each image placeholder of a prompt as often as its image has tokens.

    Args:
        profile: the model's, whose placeholder an error names.
        prompt: the prompt's token ids.
        image: the placeholder's token id.
        counts: tokens of each image, in the prompt's order.

    Returns:
        The token ids, and the (offset, length) of each image in them.

    Raises:
        ValueError: the prompt has more or fewer placeholders than there are images.
    """
    check_placeholders(profile, prompt.count(image), len(counts))
    tokens: list[int] = []
    ranges: list[tuple[int, int]] = []
    for token in prompt:
        if token == image:
            ranges.append((len(tokens), counts[len(ranges)]))
        tokens += [image] * ranges[-1][1] if token == image else [token]
    return tokens, ranges


def check_placeholders(profile: ModelProfile, places: int, images: int) -> None:
    """Check that a prompt has one placeholder for each image.

    Raises:
        ValueError: it has more or fewer.
    """
    if places != images:
        token = profile.record.image_token
        message = f"the prompt has {places} places for {images} images: write one {token} each"
        raise ValueError(message)


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


def largest_page(mode: Resolution) -> Views:
    """Return a blank page with the most tokens of a mode, to profile memory with."""
    view = np.zeros((mode.view, mode.view, 3), np.uint8)
    columns, rows = mode.largest_grid if mode.tile else (0, 0)
    return Views(view=view, tiles=np.zeros((rows, columns, mode.tile, mode.tile, 3), np.uint8))

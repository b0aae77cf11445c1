"""Tiles, tokens and pixels of every model, held against a plain second writing of the rules."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.unit.models.literal_rule import RULES, noise, sizes

from dsk import models

PROFILES = models.profiles()


def test_every_model_is_held_against_its_rule() -> None:
    assert RULES.keys() == PROFILES.keys()


@pytest.mark.parametrize("model", RULES)
def test_a_page_of_any_size_is_cut_into_the_published_grid(model: str) -> None:
    rule, resolution = RULES[model], PROFILES[model].default_resolution
    rng = random.Random(11)
    pages = [(rng.randint(1, 9000), rng.randint(1, 9000)) for _ in range(1500)]
    pages += sizes(1500, seed=12)
    # Exact halves between the ratios of two grids, and sides around a tile's.
    pages += [(a * 60, b * 60) for a in range(1, 40) for b in range(1, 40)]
    edge = range(rule.tile - 1, rule.tile + 2)
    pages += [(width, height) for width in edge for height in edge]
    for page in pages:
        assert resolution.grid(*page) == rule.grid(*page), page


@pytest.mark.parametrize("model", RULES)
def test_tokens_are_the_letters_of_the_published_sequence(model: str) -> None:
    rule, resolution = RULES[model], PROFILES[model].default_resolution
    for page in sizes(120, seed=13) + [(9000, 40), (40, 9000), (1224, 1584)]:
        assert resolution.tokens(resolution.grid(*page)) == len(rule.sequence(*page)), page


@pytest.mark.parametrize("model", RULES)
def test_no_page_takes_more_tokens_than_the_stated_worst(model: str) -> None:
    profile, rule = PROFILES[model], RULES[model]
    resolution = profile.default_resolution
    worst = max(resolution.tokens(grid) for grid in resolution.grids)
    assert worst == resolution.max_tokens == profile.max_page_tokens
    assert len(rule.sequence(*profile.worst_page)) == worst
    assert resolution.max_tiles == rule.most


@pytest.mark.parametrize("model", RULES)
@pytest.mark.parametrize("part", range(4))
def test_pixels_are_those_of_the_published_code(model: str, part: int) -> None:
    rule, profile = RULES[model], PROFILES[model]
    for at, size in enumerate(sizes(48)[part::4]):
        image = noise(size)
        if at % 3:
            image = image.convert("L").convert("RGB")
        if at % 3 == 2:
            image.paste(noise((40, 20)), (size[0] // 3, size[1] // 2))
        got = profile.prepare(image, profile.default_resolution)
        view, tiles = rule.pictures(image)
        assert got.grid == rule.grid(*size), size
        assert np.array_equal(got.view, view), size
        flat = got.tiles.reshape(-1, rule.tile, rule.tile, 3)
        assert all(np.array_equal(a, b) for a, b in zip(flat, tiles, strict=True)), size


@pytest.mark.parametrize("model", RULES)
def test_every_resolution_has_a_view_that_the_towers_take(model: str) -> None:
    profile = PROFILES[model]
    for resolution in profile.resolutions.values():
        got = profile.prepare(noise((900, 500)), resolution)
        assert got.view.shape == (resolution.view, resolution.view, 3)
        assert resolution.view % profile.cell == profile.tile % profile.cell == 0
        if not resolution.tile:
            assert (got.grid, len(got.tiles)) == ((1, 1), 0)

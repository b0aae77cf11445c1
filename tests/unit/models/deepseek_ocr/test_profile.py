"""Tiles: the model's own preprocessing, pixel for pixel, against a plain second writing of it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageOps

from dsk import models
from dsk.errors import UsageProblem

PROFILE = models.profile("deepseek-ocr")
GUNDAM = PROFILE.resolutions["gundam"]


def sizes(count: int) -> list[tuple[int, int]]:
    """Half of them free, half exact multiples of small ratios, where ties between grids lie."""
    rng = random.Random(7)
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


def plain_grid(width: int, height: int) -> tuple[int, int]:
    if max(width, height) <= 640:
        return (1, 1)
    best, gap = (1, 1), 1e9
    for area in range(2, 7):
        for columns in range(1, 7):
            if area % columns:
                continue
            grid = (columns, area // columns)
            this = abs(width / height - grid[0] / grid[1])
            if this < gap:
                best, gap = grid, this
            elif this == gap and width * height > 0.5 * 640 * 640 * area:
                best = grid
    return best


def plain_tiles(image: Image.Image, grid: tuple[int, int]) -> list[np.ndarray]:
    columns, rows = grid
    sheet = image.resize((640 * columns, 640 * rows))
    return [
        np.asarray(sheet.crop((640 * x, 640 * y, 640 * x + 640, 640 * y + 640)))
        for y in range(rows)
        for x in range(columns)
    ]


@pytest.mark.parametrize("part", range(8))
def test_gundam_is_the_official_rule_for_200_random_sizes(part: int) -> None:
    for at, size in enumerate(sizes(200)[part::8]):
        image = noise(size) if at % 2 else noise(size).convert("L").convert("RGB")
        got = PROFILE.prepare(image, GUNDAM)
        assert got.grid == plain_grid(*size), size
        expected = ImageOps.pad(image, (1024, 1024), color=(127, 127, 127))
        assert np.array_equal(got.view, np.asarray(expected)), size
        tiles = [] if got.grid == (1, 1) else plain_tiles(image, got.grid)
        flat = got.tiles.reshape(-1, 640, 640, 3)
        assert all(np.array_equal(a, b) for a, b in zip(flat, tiles, strict=True)), size


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large"])
@pytest.mark.parametrize("colours", ["RGB", "L"])
def test_the_other_modes_have_one_view_and_only_the_small_ones_squash_it(
    name: str, colours: str
) -> None:
    image = noise((900, 500)).convert(colours).convert("RGB")
    resolution = PROFILE.resolutions[name]
    got = PROFILE.prepare(image, resolution)
    square = (resolution.view, resolution.view)
    expected = (
        image.resize(square)
        if resolution.view <= 640
        else ImageOps.pad(image, square, color=(127, 127, 127))
    )
    assert np.array_equal(got.view, np.asarray(expected))
    assert (got.grid, len(got.tiles)) == ((1, 1), 0)


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        ("tiny", (1190, 1684), 73),
        ("small", (1190, 1684), 111),
        ("base", (1190, 1684), 273),
        ("large", (1190, 1684), 421),
        ("gundam", (640, 640), 273),
        ("gundam", (1190, 1684), 903),
        ("gundam", (1684, 1190), 893),
        ("gundam", (1920, 1080), 483),
        ("gundam", (10000, 200), 883),
        ("gundam", (200, 10000), 933),
    ],
)
def test_an_image_takes_the_published_number_of_tokens(
    name: str, size: tuple[int, int], tokens: int
) -> None:
    resolution = PROFILE.resolutions[name]
    assert resolution.tokens(resolution.grid(*size)) == tokens


def test_no_image_takes_more_tokens_than_the_stated_worst_case() -> None:
    assert GUNDAM.max_tokens == PROFILE.max_page_tokens == 933
    assert PROFILE.worst_page == (640, 3840)
    assert GUNDAM.tokens(GUNDAM.grid(*PROFILE.worst_page)) == 933
    assert len(PROFILE.grids) == 13


def test_a_hairline_of_a_page_still_has_a_view() -> None:
    assert PROFILE.prepare(noise((3000, 1)), GUNDAM).view.shape == (1024, 1024, 3)


def test_grey_and_transparent_images_are_made_rgb() -> None:
    for kind in ("L", "RGBA", "P", "CMYK"):
        got = PROFILE.prepare(Image.new(kind, (700, 300)), GUNDAM)
        assert got.view.shape == (1024, 1024, 3)
        assert got.tiles.shape == (1, 2, 640, 640, 3)


def test_an_unknown_mode_is_told_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="unknown mode 'huge': choose one of tiny, small"):
        PROFILE.resolution("huge")


def test_a_mode_of_another_size_follows_the_same_arithmetic() -> None:
    assert PROFILE.custom_resolution(768).max_tokens == 12 * 13 + 1

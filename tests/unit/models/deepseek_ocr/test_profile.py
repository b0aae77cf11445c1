"""DeepSeek-OCR's numbers and its resolutions without tiles."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.unit.models.literal_rule import GREY, noise

from dsk import models
from dsk.errors import UsageProblem

PROFILE = models.profile("deepseek-ocr")
GUNDAM = PROFILE.resolutions["gundam"]


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
        image.resize(square) if resolution.view <= 640 else ImageOps.pad(image, square, color=GREY)
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

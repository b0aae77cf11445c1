"""Pages with and without colour, resized as Pillow resizes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dsk.models import resampling
from dsk.models.resampling import Picture

SIDES = st.one_of(st.integers(1, 8), st.integers(1, 150))
INKS = ("grey", "colour", "two equal", "one value", "rows", "columns", "black and white")


@dataclass(frozen=True)
class Patch:
    """Something printed on a page, at a place in thousandths of the page's sides."""

    ink: str
    left: int
    top: int
    width: int
    height: int
    seed: int


PATCHES = st.builds(
    Patch,
    ink=st.sampled_from(INKS),
    left=st.integers(0, 999),
    top=st.integers(0, 999),
    width=st.integers(1, 1000),
    height=st.integers(1, 1000),
    seed=st.integers(0, 99),
)


def page(width: int, height: int, paper: tuple[int, int, int], patches: list[Patch]) -> Image.Image:
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = paper
    for patch in patches:
        top, left = patch.top * height // 1000, patch.left * width // 1000
        down, across = 1 + patch.height * height // 1000, 1 + patch.width * width // 1000
        place = pixels[top : top + down, left : left + across]
        place[:] = printed(patch.ink, place.shape, np.random.default_rng(patch.seed))
    return Image.fromarray(pixels)


def printed(ink: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    return {
        "grey": noise[..., :1],
        "colour": noise,
        "two equal": noise[..., [0, 1, 1]],
        "one value": noise[:1, :1],
        "rows": noise[:, :1],
        "columns": noise[:1],
        "black and white": noise[..., :1] // 128 * 255,
    }[ink]


def resized(image: Image.Image, width: int, height: int) -> np.ndarray:
    out = np.empty((height, width, 3), np.uint8)
    Picture.of(image).resize(width, height, out)
    return out


def by_pillow(image: Image.Image, width: int, height: int) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


@settings(max_examples=300)
@given(
    SIDES,
    SIDES,
    SIDES,
    SIDES,
    st.sampled_from([(255, 255, 255), (0, 0, 0), (255, 250, 230)]),
    st.lists(PATCHES, max_size=5),
)
def test_every_pixel_is_the_one_that_pillow_makes(
    width: int,
    height: int,
    new_width: int,
    new_height: int,
    paper: tuple[int, int, int],
    patches: list[Patch],
) -> None:
    image = page(width, height, paper, patches)
    assert np.array_equal(
        resized(image, new_width, new_height), by_pillow(image, new_width, new_height)
    )


@pytest.mark.parametrize("size", [(595, 842), (842, 595), (611, 793), (1191, 1684), (1, 900)])
@pytest.mark.parametrize(
    "patches",
    [
        [],
        [Patch("black and white", 100, 50, 800, 900, 1)],
        [Patch("grey", 100, 100, 800, 700, 1), Patch("colour", 200, 30, 500, 20, 2)],
        [Patch("grey", 50, 50, 900, 900, 1), Patch("two equal", 300, 500, 100, 200, 2)],
        [Patch("rows", 0, 0, 1000, 1000, 1), Patch("colour", 999, 999, 1, 1, 2)],
        [Patch("colour", 0, 0, 1000, 1000, 1)],
    ],
    ids=["blank", "text", "heading", "two figures", "one pixel", "photo"],
)
def test_a_page_is_resized_as_to_views_and_tiles(
    size: tuple[int, int], patches: list[Patch]
) -> None:
    image = page(*size, (255, 255, 255), patches)
    for target in ((724, 1024), (1024, 724), (1280, 1920), (1536, 768)):
        assert np.array_equal(resized(image, *target), by_pillow(image, *target))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_become_rgb_first(mode: str) -> None:
    patches = [Patch("grey", 100, 100, 800, 200, 1), Patch("colour", 100, 600, 200, 200, 2)]
    image = page(120, 90, (255, 255, 255), patches).convert(mode)
    assert np.array_equal(resized(image, 77, 150), by_pillow(image, 77, 150))


@pytest.mark.parametrize("old", [1, 2, 3, 5, 37, 300, 1684])
def test_the_weights_are_those_that_pillow_gives_a_single_pixel(old: int) -> None:
    for new in (1, 2, 3, 7, old, 2 * old, 3 * old + 1, 1 + old // 2, 1 + old // 9):
        windows = resampling._windows(old, new)
        rows = windows.first[:, None] + np.arange(windows.taps)
        assert rows.min() >= 0
        assert rows.max() < old
        assert (np.diff(windows.first) >= 0).all()
        # Pillow's weights add up to one but for their rounding.
        assert abs(windows.weights.sum(axis=1) - (1 << 22)).max() <= windows.taps


def test_black_text_and_a_heading_are_not_resized_in_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modes = []
    own = Image.Image.resize

    def resize(self: Image.Image, *args: object) -> Image.Image:
        modes.append(self.mode)
        return own(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", resize)
    text, heading = Patch("grey", 100, 100, 800, 800, 1), Patch("colour", 200, 30, 500, 20, 2)
    resized(page(595, 842, (255, 255, 255), [text, heading]), 724, 1024)
    assert set(modes) <= {"L", "I"}
    resized(page(595, 842, (255, 255, 255), [Patch("colour", 0, 0, 1000, 1000, 1)]), 724, 1024)
    assert "RGB" in modes


def test_rows_of_one_value_are_not_given_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    heights = []
    own = Image.Image.resize

    def resize(self: Image.Image, *args: object) -> Image.Image:
        if self.mode == "L":
            heights.append(self.height)
        return own(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", resize)
    resized(page(300, 400, (255, 255, 255), [Patch("grey", 100, 500, 800, 99, 1)]), 150, 200)
    assert heights == [40]

"""Images as pages: every kind, upright, on white, in 8 bits, and bombs refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from dsk.errors import InputUnreadable
from dsk.ocr.documents.base import InputRefused, PageRefused, PageUnrenderable
from dsk.ocr.documents.opening import open_source
from dsk.ocr.schema.filetypes import kind_of
from dsk.ocr.schema.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

RED, WHITE = (255, 0, 0), (255, 255, 255)
ORIENTATION = 0x0112


def half_red(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """The left half is red, the right white."""
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def first_page(file: Path, limits: Limits | None = None) -> Image.Image:
    with open_source(file, limits=limits or Limits()) as source:
        image, sheet = source.image(1, 144), source.sheet(1, 144)
        assert image.mode == "RGB"
        assert image.size == (sheet.width, sheet.height)
        return image


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 12 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        ("png", "RGB"), ("png", "P"), ("png", "RGBA"), ("png", "1"), ("png", "LA"),
        ("jpg", "RGB"), ("jpg", "CMYK"), ("jpg", "L"),
        ("webp", "RGB"), ("webp", "RGBA"),
        ("tif", "RGB"), ("tif", "CMYK"), ("tif", "1"), ("tif", "P"), ("tif", "LAB"),
        ("gif", "P"),
    ],
)  # fmt: skip
def test_every_kind_becomes_the_same_page(tmp_path: Path, suffix: str, mode: str) -> None:
    file = tmp_path / f"a.{suffix}"
    if mode == "LAB":
        Image.fromarray(np.full((40, 60, 3), (255, 128, 128), np.uint8), "RGB").save(file)
        assert near(first_page(file).getpixel((50, 20)), (255, 128, 128))
        return
    half_red(mode).save(file, quality=95)
    page = first_page(file)
    assert page.size == (60, 40)
    assert near(page.getpixel((50, 20)), WHITE)
    grey = mode in ("L", "LA", "1")
    assert near(page.getpixel((10, 20)), RED) or grey


def test_what_a_file_is_shows_from_its_content(tmp_path: Path) -> None:
    half_red().save(tmp_path / "a.pdf", "PNG")
    assert first_page(tmp_path / "a.pdf").getpixel((0, 0)) == RED


@pytest.mark.parametrize(
    ("mode", "colour"),
    [("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))],
)
def test_what_is_transparent_is_white(tmp_path: Path, mode: str, colour: tuple[int, ...]) -> None:
    Image.new(mode, (8, 8), colour).save(tmp_path / "a.png")
    assert first_page(tmp_path / "a.png").getpixel((4, 4)) == WHITE


def test_a_palettes_transparent_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 3)
    image.putpalette([0] * 12)
    image.save(tmp_path / "a.png", transparency=3)
    assert first_page(tmp_path / "a.png").getpixel((4, 4)) == WHITE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_page_is_shown_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    # How each orientation is stored: the camera was held so.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = half_red()
    upright.paste((0, 0, 255), (0, 0, 30, 20))
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(tmp_path / f"a.{suffix}", exif=exif)
    page = first_page(tmp_path / f"a.{suffix}")
    assert page.size == (60, 40)
    assert near(page.getpixel((8, 8)), (0, 0, 255))
    assert near(page.getpixel((8, 32)), RED)
    assert near(page.getpixel((52, 8)), WHITE)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_of_grey_become_8_and_none_are_cut_off(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 0x7FFF, 0xFFFF]], np.uint16).repeat(3, 0)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    page = first_page(tmp_path / f"a.{suffix}")
    assert [page.getpixel((x, 1)) for x in range(3)] == [(0,) * 3, (127,) * 3, (255,) * 3]


def test_floats_are_stretched_over_the_greys(tmp_path: Path) -> None:
    values = np.array([[-1.0, 0.0, 1.0]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    page = first_page(tmp_path / "a.tif")
    assert [page.getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (127,) * 3, (255,) * 3]


def test_a_tiff_file_has_many_pages_and_each_its_own_size(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (10 + number, 20), (number, 0, 0)) for number in range(5)]
    pages[0].save(tmp_path / "fax.tif", save_all=True, append_images=pages[1:])
    with open_source(tmp_path / "fax.tif") as source:
        assert source.page_count == 5
        for number in (4, 1, 5):  # in any order
            assert source.image(number, 144).getpixel((0, 0)) == (number - 1, 0, 0)
            assert source.sheet(number, 144).width == 9 + number


def test_a_film_is_its_first_picture(tmp_path: Path) -> None:
    half_red("P").save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("P", (60, 40), 7)]
    )
    with open_source(tmp_path / "a.gif") as source:
        assert source.page_count == 1
        assert source.image(1, 144).getpixel((10, 10)) == RED


def test_a_page_is_as_large_as_the_file_says(tmp_path: Path) -> None:
    half_red(size=(300, 600)).save(tmp_path / "a.png", dpi=(300, 300))
    with open_source(tmp_path / "a.png") as source:
        sheet = source.sheet(1, 144)
    assert round(sheet.width_pt, 1) == 72
    assert round(sheet.height_pt, 1) == 144
    assert round(sheet.dpi) == 300


def test_without_a_word_of_its_size_it_has_that_of_the_pages_asked_for(tmp_path: Path) -> None:
    half_red().save(tmp_path / "a.png")
    with open_source(tmp_path / "a.png") as source:
        sheet = source.sheet(1, 144)
    assert (sheet.width_pt, sheet.height_pt, sheet.dpi) == (30, 20, 144)


def test_a_large_image_is_reduced_and_its_resolution_says_so(tmp_path: Path) -> None:
    half_red(size=(301, 200)).save(tmp_path / "a.png")
    with open_source(tmp_path / "a.png", limits=Limits(max_pixels=20_000)) as source:
        sheet, image = source.sheet(1, 144), source.image(1, 144)
    assert (sheet.width, sheet.height) == image.size == (151, 100)
    assert (sheet.dpi, sheet.width_pt) == (72, 150.5)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    half_red(size=(400, 400)).save(tmp_path / "a.png")
    with pytest.raises(InputRefused, match="--max-image-pixels") as caught:
        open_source(tmp_path / "a.png", limits=Limits(max_image_pixels=150_000))
    assert caught.value.limit == "max_image_pixels"


def test_a_bomb_among_pages_is_refused_and_the_others_are_shown(tmp_path: Path) -> None:
    pages = [Image.new("1", (size, size)) for size in (10, 900, 20)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with open_source(tmp_path / "a.tif", limits=Limits(max_image_pixels=100_000)) as source:
        assert source.image(1, 144).size == (10, 10)
        with pytest.raises(PageRefused, match="--max-image-pixels"):
            source.sheet(2, 144)
        with pytest.raises(PageRefused, match="--max-image-pixels"):
            source.image(2, 144)
        assert source.image(3, 144).size == (20, 20)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "gif"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9])
def test_half_an_image_is_no_page_and_says_why(tmp_path: Path, suffix: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 120, 3), np.uint8)
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: 16 + int((len(whole) - 16) * part)])
    with pytest.raises((InputUnreadable, PageUnrenderable)) as caught:
        first_page(file)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "settings"),
    [
        ("bmp", {}),
        ("jp2", {"irreversible": False}),
        ("j2k", {"irreversible": False}),
        ("avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("ppm", {}),
        ("pgm", {}),
        ("pbm", {}),
    ],
)
def test_each_format_is_known_by_its_content_and_read(
    tmp_path: Path, suffix: str, settings: dict[str, Any]
) -> None:
    drawn = Image.new("RGB", (64, 48), "white")
    drawn.paste((0, 0, 0), (8, 8, 40, 24))
    mode = {"pgm": "L", "pbm": "1"}.get(suffix, "RGB")
    drawn.convert(mode).save(tmp_path / f"a.{suffix}", **settings)
    file = (tmp_path / f"a.{suffix}").rename(tmp_path / "any name")
    assert kind_of(file) == "image"
    with open_source(file) as source:
        sheet, image = source.sheet(1, 144), source.image(1, 144)
    assert image.mode == "RGB"
    assert image.size == (sheet.width, sheet.height) == (64, 48)
    difference = np.abs(np.asarray(image, int) - np.asarray(drawn, int))
    assert difference.max() <= 6


@pytest.mark.parametrize(
    "text", [b"BMW is a maker of cars and more words", b"P1 is a parser", b"P6"]
)
def test_texts_that_begin_like_images_are_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a").write_bytes(text)
    with pytest.raises(InputUnreadable, match="is not a PDF file"):
        kind_of(tmp_path / "a")


@pytest.mark.parametrize("most", [3, 60, 255, 1023, 4095])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_dark_grey_of_16_bits_is_seen(tmp_path: Path, most: int, suffix: str) -> None:
    values = np.full((20, 20), most, np.uint16)
    values[5:10, 5:15] = 0
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    with open_source(tmp_path / f"a.{suffix}") as source:
        seen = np.asarray(source.image(1, 144))
    assert (seen.min(), seen.max()) == (0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_white_on_transparent_is_seen(tmp_path: Path, mode: str) -> None:
    drawn = Image.new("RGBA", (20, 20), (255, 255, 255, 0))
    drawn.paste((255, 255, 255, 255), (5, 5, 15, 10))
    drawn.convert(mode).save(tmp_path / "a.png")
    with open_source(tmp_path / "a.png") as source:
        assert source.image(1, 144).getcolors(1) is None

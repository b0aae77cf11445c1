"""Images: of three formats, of a limited size, in the request itself."""

from __future__ import annotations

import base64
import io
import struct
import time
import tracemalloc
import zlib

import pytest
from PIL import Image
from tests.unit.vllm_plugin.gate.requests_to_gate import data_url, picture

from dsk.vllm_plugin.gate.images import (
    FORMATS,
    LARGEST_SIDE,
    checked_image,
    is_web_url,
    limit_pillow,
)
from dsk.vllm_plugin.gate.refusal import Refusal

PIXELS = 50_000_000


def refusal(url: str, pixels: int = PIXELS) -> str:
    with pytest.raises(Refusal) as caught:
        checked_image(url, pixels)
    assert caught.value.status == 400
    return caught.value.message


@pytest.mark.parametrize("kind", FORMATS)
def test_three_formats_are_read_whatever_the_url_calls_them(kind: str) -> None:
    data = picture(30, 20, kind)
    for name in (kind.lower(), "png", "anything"):
        checked = checked_image(data_url(data, name), PIXELS)
        assert checked.pixels == 600
        assert checked.url == data_url(data, kind.lower())


@pytest.mark.parametrize(
    "kind", ["GIF", "TIFF", "BMP", "PPM", "ICO", "TGA", "PCX", "DDS", "JPEG2000"]
)
def test_other_formats_are_refused(kind: str) -> None:
    assert "PNG, JPEG or WEBP" in refusal(data_url(picture(8, 8, kind, "RGB")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-1.7",
        b"<svg/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\x00" * 100,
    ],
)
def test_no_image_is_refused_in_words_of_ours(data: bytes) -> None:
    assert "0x" not in refusal(data_url(data))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x.png",
        " http://127.0.0.1:1/x.png",
        "\thttps://127.0.0.1:1/x.png",
        "HTTP://127.0.0.1:1/x.png",
        "\x00http://127.0.0.1:1/x.png",
        "ht\ntp://127.0.0.1:1/x.png",
        "//127.0.0.1/x.png",
        "file:///etc/hostname",
        "ftp://127.0.0.1/x.png",
        "",
        "data:image/png,xyz",
        "data:image/png;charset=utf-8;base64,aGVsbG8=",
        "data:text/html;base64",
        "datahttp://127.0.0.1/;base64,aGVsbG8=",
    ],
)
def test_only_data_urls_are_images(url: str) -> None:
    assert "data:image/png;base64" in refusal(url)
    assert is_web_url(url)


@pytest.mark.parametrize("encoded", ["!", "aGVsbG8", "aGVs-_8=", "aGVsbG8=é"])
def test_what_is_not_base64_is_refused(encoded: str) -> None:
    assert "Base64" in refusal(f"data:image/png;base64,{encoded}")


def test_line_breaks_and_blanks_around_are_taken() -> None:
    data = picture(8, 8)
    broken = base64.encodebytes(data).decode()
    assert checked_image(f" DATA:image/png;BASE64,{broken}\n", PIXELS).url == data_url(data)


def test_images_are_limited_in_pixels_and_sides() -> None:
    assert checked_image(data_url(picture(100, 100)), 10_000).pixels == 10_000
    assert "10000 pixels" in refusal(data_url(picture(101, 100)), 10_000)
    assert "pixels" in refusal(data_url(picture(LARGEST_SIDE + 1, 1)))


@pytest.mark.parametrize("side", [8000, 12_000, 30_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    tracemalloc.start()
    # 8000 pixels a side are finding 5 of the review; Pillow itself warns from 9459 on.
    assert "pixels" in refusal(data_url(png_header(side, side)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animations_are_refused(kind: str) -> None:
    file = io.BytesIO()
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue", "green")]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    assert "several frames" in refusal(data_url(file.getvalue()))


def test_a_cameras_second_picture_is_left_alone() -> None:
    file = io.BytesIO()
    one = Image.new("RGB", (9, 9))
    one.save(file, "MPO", save_all=True, append_images=[one])
    assert checked_image(data_url(file.getvalue()), PIXELS).url.startswith("data:image/jpeg;")


@pytest.mark.parametrize("start", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8"])
def test_a_file_of_millions_of_pieces_is_refused_at_once(start: bytes) -> None:
    data = start + (b"\0\0\0\0teXt\0\0\0\0" if b"PNG" in start else b"\xff") * 4_000_000
    begun = time.monotonic()
    assert "cannot be read" in refusal(data_url(data))
    assert time.monotonic() - begun < 3


def test_the_pillow_of_the_server_opens_nothing_else(untouched_pillow: None) -> None:
    limit_pillow(100)
    for kind in FORMATS:
        with Image.open(io.BytesIO(picture(10, 10, kind))) as image:
            image.load()
    for kind in ("GIF", "TIFF", "BMP", "PPM"):
        # With names, too: vLLM 0.32.0 names those that it opens.
        for formats in (None, [kind]):
            with pytest.raises(OSError, match="cannot identify"):
                Image.open(io.BytesIO(picture(4, 4, kind)), formats=formats)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(picture(11, 10)))

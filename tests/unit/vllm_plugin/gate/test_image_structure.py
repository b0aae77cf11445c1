"""Files of more pieces than a picture needs, and what is left out of the others."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from tests.unit.vllm_plugin.gate.requests_to_gate import data_url, picture

from dsk.vllm_plugin.gate.image_structure import (
    MOST_CHUNKS,
    MOST_SCANS,
    MOST_SEGMENTS,
    MOST_TABLES,
    essential,
)
from dsk.vllm_plugin.gate.images import checked_image
from dsk.vllm_plugin.gate.refusal import Refusal


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def segment(marker: int, data: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def inserted(kind: str, pieces: bytes) -> bytes:
    """A picture with pieces behind its IHDR or its first segment."""
    data = picture(8, 8, kind)
    place = {"PNG": 33, "JPEG": 20}[kind]
    return data[:place] + pieces + data[place:]


PROFILE = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20), 9))
PHOTOSHOP = segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0" * 5000)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_stay_as_they_are(kind: str) -> None:
    data = picture(300, 200, kind, "RGB")
    assert essential(data) == data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_files_are_shortened_or_refused(kind: str) -> None:
    data = picture(300, 200, kind, "RGB")
    for length in range(len(data)):
        assert essential(data[:length]) in (data[:length], None)


@pytest.mark.parametrize("behind", [True, False])
def test_a_png_of_too_many_chunks_is_refused(behind: bool) -> None:
    data = picture(8, 8)
    place = data.rindex(b"IEND") - 4 if behind else 33  # after IHDR
    few, many = (data[:place] + chunk(b"teXt") * count + data[place:] for count in (9, MOST_CHUNKS))
    assert essential(few) == data
    assert essential(many) is None


def test_what_follows_the_end_of_a_png_is_left_out() -> None:
    data = picture(8, 8)
    assert essential(data + chunk(b"zTXt") * MOST_CHUNKS + b"MZ") == data


@pytest.mark.parametrize("piece", [segment(0xE5), b"\xff"])
def test_a_jpeg_of_too_many_segments_is_refused(piece: bytes) -> None:
    few, many = (inserted("JPEG", piece * count) for count in (9, MOST_SEGMENTS))
    assert essential(few) == picture(8, 8, "JPEG")
    assert essential(many) is None


@pytest.mark.parametrize(
    "pieces",
    [
        b"\0",
        b"junk",
        b"\xff\x00",
        b"\xff\x01",
        b"\xff\xd0" * 5_000_000,
        b"\xff\xd8",
        b"\xff\xd9",
        segment(0xDB, bytes(60_000)) * (MOST_TABLES // 60_000 + 1),
    ],
)
def test_a_jpeg_with_something_else_between_its_segments_is_refused(pieces: bytes) -> None:
    # Pillow skips such bytes one by one, and reads on: a walk that stops there misses what follows.
    begun = time.monotonic()
    assert essential(inserted("JPEG", pieces)) is None
    assert time.monotonic() - begun < 1


def test_a_progressive_jpeg_stays_and_one_of_thousands_of_scans_is_refused() -> None:
    data = picture(64, 64, "JPEG", progressive=True)
    assert essential(data) == data
    start = data.rindex(b"\xff\xda")
    assert essential(data[:start] + data[start:-2] * MOST_SCANS + data[-2:]) is None


@pytest.mark.parametrize(
    ("kind", "pieces"),
    [
        ("PNG", PROFILE * 5000),
        ("PNG", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20), 9)) * 60),
        ("JPEG", segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 700),
        ("JPEG", PHOTOSHOP * 700),
        ("JPEG", segment(0xE2, b"MPF\0" + bytes(65_000)) * 700),
        ("JPEG", segment(0xFE, bytes(65_000)) * 700),
    ],
)
def test_what_takes_pillow_seconds_never_reaches_it(kind: str, pieces: bytes) -> None:
    url = data_url(inserted(kind, pieces))
    begun = time.monotonic()
    try:
        checked = checked_image(url, 1000)
    except Refusal:
        pass
    else:
        assert len(checked.url) < 200_000
    # 5000 profiles of a mebibyte took 12 s, and 700 Exif segments, joined one by one, 8 s.
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pixels_orientation_and_transparency_stay(kind: str) -> None:
    rng = np.random.default_rng(7)
    shown = Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    settings = {
        "exif": exif,
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }
    if kind == "PNG":
        settings["transparency"] = (1, 2, 3)
    else:
        shown = shown.convert("CMYK")
    file = io.BytesIO()
    shown.save(file, kind, **settings)
    left = essential(file.getvalue())
    assert left is not None
    assert len(left) < len(file.getvalue())
    with Image.open(io.BytesIO(left)) as after, Image.open(file) as before:
        assert (after.mode, after.size) == (before.mode, before.size)
        assert after.info.get("transparency") == before.info.get("transparency")
        upright = [ImageOps.exif_transpose(image).tobytes() for image in (after, before)]
        assert upright[0] == upright[1]
        assert ImageOps.exif_transpose(after).size == (40, 60)

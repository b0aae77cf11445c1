"""Files of more pieces than a picture needs."""

from __future__ import annotations

import struct
import zlib

import pytest
from tests.unit.vllm_plugin.gate.requests_to_gate import picture

from dsk.vllm_plugin.gate.image_structure import (
    MOST_CHUNKS,
    MOST_SCANS,
    MOST_SEGMENTS,
    is_plain,
)

CHUNK = struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
SEGMENT = b"\xff\xe5\x00\x02"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_plain(kind: str) -> None:
    data = picture(300, 200, kind, "RGB")
    assert is_plain(data)
    # Damaged ones are Pillow's business: they end early.
    for length in (0, 2, 3, 9, 20, len(data) // 2):
        assert is_plain(data[:length])


@pytest.mark.parametrize("behind", [True, False])
def test_a_png_of_too_many_chunks_is_not(behind: bool) -> None:
    data = picture(8, 8)
    place = len(data) if behind else 33  # after IHDR
    few, many = (data[:place] + CHUNK * count + data[place:] for count in (9, MOST_CHUNKS))
    assert is_plain(few)
    assert not is_plain(many)


@pytest.mark.parametrize("piece", [SEGMENT, b"\xff"])
def test_a_jpeg_of_too_many_segments_is_not(piece: bytes) -> None:
    data = picture(8, 8, "JPEG")
    few, many = (data[:2] + piece * count + data[2:] for count in (9, MOST_SEGMENTS))
    assert is_plain(few)
    assert not is_plain(many)


def test_a_progressive_jpeg_is_plain_and_one_of_thousands_of_scans_is_not() -> None:
    data = picture(64, 64, "JPEG", progressive=True)
    assert is_plain(data)
    start = data.rindex(b"\xff\xda")
    assert not is_plain(data[:start] + data[start:-2] * MOST_SCANS + data[-2:])

"""Image files that were damaged, or written to do damage."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def picture(kind: str, mode: str = "RGB", side: int = 120, **settings: Any) -> bytes:
    """An honest image with noise on it, which does not pack."""
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(stream, kind, **settings)
    return stream.getvalue()


def cut(kind: str, part: float) -> bytes:
    whole = picture(kind)
    return whole[: int(len(whole) * part)]


def many_pages(*sides: int) -> bytes:
    """A TIFF file of square pages."""
    pages = [Image.open(io.BytesIO(picture("PNG", side=side))) for side in sides]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    return stream.getvalue()


def turned() -> bytes:
    """A camera's picture, held upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture("JPEG", exif=exif)


def deep() -> bytes:
    """Grey of 16 bits."""
    values = np.linspace(0, 0xFFFF, 100 * 100).reshape(100, 100).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_bomb(side: int = 60_000) -> bytes:
    """A PNG file that says it has 3.6 billion pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1_000_000), 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def png_of_text(megabytes: int = 80) -> bytes:
    """A small PNG file with a comment that is a thousand times larger unpacked."""
    packed = zlib.compress(b"x" * (megabytes * 1_000_000), 9)
    whole = picture("PNG")
    after_header = 8 + 25
    comment = chunk(b"zTXt", b"Comment\0\0" + packed)
    return whole[:after_header] + comment + whole[after_header:]


def gif_bomb() -> bytes:
    """A GIF file whose screen has 4 billion pixels."""
    whole = bytearray(picture("GIF", "P"))
    whole[6:10] = b"\xff\xff\xff\xff"
    return bytes(whole)


def tiff_in_itself() -> bytes:
    """A TIFF file whose last page is followed by its first."""
    whole = bytearray(many_pages(40, 50))
    first = struct.unpack("<I", whole[4:8])[0]
    place = first
    while True:
        entries = struct.unpack("<H", whole[place : place + 2])[0]
        after = place + 2 + 12 * entries
        following = struct.unpack("<I", whole[after : after + 4])[0]
        if not following:
            whole[after : after + 4] = struct.pack("<I", first)
            return bytes(whole)
        place = following

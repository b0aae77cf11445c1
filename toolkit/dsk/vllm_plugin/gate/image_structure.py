"""The structure of image files, walked before Pillow does: how many pieces there are to go over.

Pillow reads the pieces of a file one by one in Python. A file of megabytes can have millions of
them, and takes a minute of the whole process before its size is known.
"""

from __future__ import annotations

from typing import Final

# A PNG of 50 megapixels has some 6,000 (8 KiB each, libpng's default).
MOST_CHUNKS: Final = 20_000
# Before the first scan of a JPEG. Cameras write a dozen; a profile or a thumbnail takes several.
MOST_SEGMENTS: Final = 1_000
# A progressive JPEG has about ten. Each goes over the whole picture: thousands of empty ones in a
# file of some kilobytes would take minutes.
MOST_SCANS: Final = 100

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_SCAN: Final = 0xDA


def is_plain(data: bytes) -> bool:
    """Return False if a PNG or JPEG file has more pieces than a picture needs."""
    if data.startswith(_PNG):
        return _png_is_plain(data)
    if data.startswith(_JPEG):
        return _jpeg_is_plain(data)
    return True


def _png_is_plain(data: bytes) -> bool:
    place = len(_PNG)
    for _ in range(MOST_CHUNKS):
        if place >= len(data):
            return True
        # Length, name, content, checksum.
        place += 12 + int.from_bytes(data[place : place + 4])
    return False


def _jpeg_is_plain(data: bytes) -> bool:
    # Marker bytes of a scan stand nowhere else but in segments, such as that of a thumbnail.
    if data.count(b"\xff\xda") > MOST_SCANS:
        return False
    place = len(_JPEG)
    for _ in range(MOST_SEGMENTS):
        if place + 1 >= len(data) or data[place] != 0xFF or data[place + 1] == _SCAN:
            return True  # the picture begins; or it is damaged, which Pillow notices at once
        if data[place + 1] == 0xFF:
            place += 1  # a byte to fill up
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return False

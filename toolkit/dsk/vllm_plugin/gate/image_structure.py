"""The structure of image files: walked before Pillow does, and rid of what is not the picture.

Pillow goes over the pieces of a file one by one in Python, and unpacks or joins some of them. A
file of some megabytes can have millions of them, or thousands of colour profiles that unpack to a
mebibyte each: it takes a minute of the whole process before its size is known.
"""

from __future__ import annotations

from typing import Final

# A PNG of 50 megapixels has some 6,000 (8 KiB each, libpng's default).
MOST_CHUNKS: Final = 20_000
# Before the first scan of a JPEG. Cameras write a dozen; a profile or a thumbnail takes several.
MOST_SEGMENTS: Final = 1_000
# Bytes of those that are kept: tables of some kilobytes, and at most one Exif segment of 64 KiB.
MOST_TABLES: Final = 256 << 10
# A progressive JPEG has about ten. Each goes over the whole picture: thousands of empty ones in a
# file of some kilobytes would take minutes.
MOST_SCANS: Final = 100

_PNG: Final = b"\x89PNG\r\n\x1a\n"
# A chunk may be left out if its name begins with a small letter, says PNG; transparency counts all
# the same, as does the number of an animation's frames, by which it is refused.
_OPTIONAL: Final = 0x20
_KEPT_CHUNKS: Final = (b"tRNS", b"acTL")
_PNG_END: Final = b"IEND"

_JPEG: Final = b"\xff\xd8"
_SCAN: Final = 0xDA
# Segments of applications, and comments. Adobe's names the colours, Exif the picture's orientation.
_APPLICATION: Final = range(0xE1, 0xF0)
_ADOBE: Final = 0xEE
_COMMENT: Final = 0xFE
# Markers without a length (fill bytes, TEM, RST, SOI, EOI) have no place before the first scan.
_LONE: Final = (0x00, 0x01, *range(0xD0, 0xDA))


def essential(data: bytes) -> bytes | None:
    """Return a file without what is not its picture, or None for one that no picture needs.

    Profiles, texts, thumbnails and second pictures are left out of PNG and JPEG files; the pixels
    and the orientation stay. A file of another format is returned as it is.
    """
    if data.startswith(_PNG):
        return _essential_png(data)
    if data.startswith(_JPEG):
        return _essential_jpeg(data)
    return data


def _essential_png(data: bytes) -> bytes | None:
    kept, place, has_exif = [_PNG], len(_PNG), False
    for _ in range(MOST_CHUNKS):
        name = data[place + 4 : place + 8]
        # Length, name, content, checksum.
        end = place + 12 + int.from_bytes(data[place : place + 4])
        is_exif = name == b"eXIf" and not has_exif
        has_exif |= is_exif
        if is_exif or name in _KEPT_CHUNKS or not name[:1] or not name[0] & _OPTIONAL:
            kept.append(data[place:end])
        if end >= len(data) or name == _PNG_END:
            return b"".join(kept)
        place = end
    return None


def _essential_jpeg(data: bytes) -> bytes | None:
    kept, size, place, has_exif = [_JPEG], 0, len(_JPEG), False
    for _ in range(MOST_SEGMENTS):
        # Pillow skips what is no marker byte by byte, so that nothing may be.
        if place + 4 > len(data) or data[place] != 0xFF or data[place + 1] in _LONE:
            return None
        marker = data[place + 1]
        if marker == _SCAN:
            rest = data[place:]
            return None if rest.count(b"\xff\xda") > MOST_SCANS else b"".join([*kept, rest])
        if marker == 0xFF:
            place += 1  # a byte to fill up
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        is_exif = data.startswith(b"Exif\0", place + 4) and marker == _APPLICATION[0]
        is_picture = marker not in _APPLICATION and marker != _COMMENT
        if is_picture or marker == _ADOBE or (is_exif and not has_exif):
            kept.append(data[place:end])
            size += end - place
        has_exif |= is_exif
        if size > MOST_TABLES:
            return None
        place = end
    return None

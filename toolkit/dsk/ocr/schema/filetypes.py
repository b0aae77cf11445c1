"""Tell PDF files from images by their first bytes."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Final, Literal

from dsk import own_image
from dsk.errors import InputUnreadable
from dsk.filenames import printable

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["pdf", "image"]
# The files that are taken from folders.
Wanted = Literal["any", "pdf", "image"]

# Usual suffixes, in small letters.
SUFFIXES: Final[dict[Kind, frozenset[str]]] = {
    "pdf": frozenset({".pdf"}),
    "image": frozenset(
        {
            *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif", ".bmp"),
            *(".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".avif"),
            *(".pbm", ".pgm", ".ppm", ".pnm"),
        }
    ),
}

# PDF readers look for the header within the first 1024 bytes.
HEAD_BYTES: Final = 1 << 10
_STARTS: Final = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"II*\0",  # TIFF, and its 64-bit kind
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"GIF87a",
    b"GIF89a",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000, and its bare code stream
    b"\xff\x4f\xff\x51",
)
# Two letters alone begin many a text: the size of a BMP's header, and a PNM's width, tell.
_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_PNM: Final = re.compile(rb"P[1-6]\s(?:\s|#[^\r\n]*[\r\n])*\d")
IMAGES: Final = "a PNG, JPEG, WebP, TIFF, GIF, BMP, JPEG 2000, AVIF or PNM image"


def kind_of(path: Path) -> Kind:
    """Return the kind of a file.

    Raises:
        InputUnreadable: it is no file, cannot be read, is empty, or is of neither kind.
    """
    _require_file(path)
    head = _head(path)
    if not head:
        what = f"{printable(path)} is empty"
        raise InputUnreadable(what, do="get the file again")
    kind = recognised(head)
    if kind is None:
        what = f"{printable(path)} is not a PDF file, nor {IMAGES}"
        raise InputUnreadable(what, do="convert it to PDF first")
    return kind


def looks_like(path: Path, wanted: Wanted) -> bool:
    """Return True if a file is of a wanted kind by its first bytes, or by its name."""
    kinds: tuple[Kind, ...] = ("pdf", "image") if wanted == "any" else (wanted,)
    if any(path.suffix.lower() in SUFFIXES[kind] for kind in kinds):
        return True
    try:
        return recognised(_head(path)) in kinds
    except InputUnreadable:
        return False


def _require_file(path: Path) -> None:
    """Refuse anything but a regular file.

    Raises:
        InputUnreadable: it is missing, or is something else.
    """
    # Folders have no bytes, and reading a pipe or a device may never end.
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        what = f"there is no file {printable(path)}"
        raise InputUnreadable(
            what, do=own_image.advice("check the path", *own_image.mount_of(path.parent))
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(mode):
        what = f"{printable(path)} is not a file"
        raise InputUnreadable(what, do="name a file or a folder")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def recognised(head: bytes) -> Kind | None:
    """Return the kind of a file by its first `HEAD_BYTES` bytes; None for neither."""
    if head.startswith(_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "image"
    is_bmp = head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    # The brand of the file, or one of those that it is compatible with.
    is_avif = head[4:8] == b"ftyp" and any(brand in head[8:64] for brand in (b"avif", b"avis"))
    if is_bmp or is_avif or _PNM.match(head):
        return "image"
    return "pdf" if b"%PDF-" in head else None


def _unreadable(path: Path, error: Exception) -> InputUnreadable:
    reason = getattr(error, "strerror", None) or str(error)
    return InputUnreadable(
        f"{printable(path)} cannot be read ({reason})", do="check its permissions"
    )

"""Names of files, which may be any bytes at all: shown safely, and made into safe ones."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LONGEST: Final = 180
"""Bytes of a safe name. File systems allow 255, and outputs add to it: ``_layouts.pdf``, a number,
and what a file is called while it is written."""


def printable(path: Path | str) -> str:
    """A path on one line and in UTF-8: control characters and stray bytes are escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in os.fsencode(path).decode("utf-8", "backslashreplace")
    )


def safe(name: str) -> str:
    """A name for a folder or a file, made from any name: UTF-8, one line, no path, not hidden.

    An honest name stays as it is. Several may become the same one.
    """
    text = os.fsencode(name).decode("utf-8", "replace")
    text = "".join(
        char if char.isprintable() and char not in "/\\\ufffd" else "_" for char in text
    ).strip()
    text = unicodedata.normalize("NFC", text)
    if text.startswith(".") or not text:
        text = f"_{text.lstrip('.')}"
    encoded = text.encode()
    if len(encoded) <= LONGEST:
        return text
    # What is cut off may be all that tells two names apart.
    mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{encoded[: LONGEST - 9].decode('utf-8', 'ignore')}~{mark}"


def same(name: str) -> str:
    """What names that some file system takes for one have in common."""
    return unicodedata.normalize("NFC", name).casefold()

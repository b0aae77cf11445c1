"""File names, which may be any bytes: printing them, and deriving safe ones."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# Length limit of a safe name. File systems allow 255, and outputs append to it: ``_layouts.pdf``, a
# number, and the suffix of a file that is being written.
MAX_BYTES: Final = 180


def printable(path: Path | str) -> str:
    """Return a path as one line of UTF-8, control characters and invalid bytes escaped."""
    try:
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        text = str(path)  # half a surrogate pair, which JSON can hold and no file name
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def safe(name: str) -> str:
    """Return a safe name for a file or folder: UTF-8, one line, no separator, not hidden.

    A name that is safe already is returned unchanged. Different names may give the same one.
    """
    text = os.fsencode(name).decode("utf-8", "replace")
    text = "".join(
        char if char.isprintable() and char not in "/\\\ufffd" else "_" for char in text
    ).strip()
    # macOS may hand out decomposed names, which would make two folders of one document.
    text = unicodedata.normalize("NFC", text)
    # A hidden folder of outputs would look like none.
    if text.startswith(".") or not text:
        text = f"_{text.lstrip('.')}"
    encoded = text.encode()
    if len(encoded) <= MAX_BYTES:
        return text
    # Long names often differ only at their end, which is cut off here; the hash keeps them apart.
    mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{encoded[: MAX_BYTES - 9].decode('utf-8', 'ignore')}~{mark}"


def collision_key(name: str) -> str:
    """Return a key equal for names that a file system ignoring case or Unicode form would merge."""
    return unicodedata.normalize("NFC", name).casefold()

"""The context of a build: what a Dockerfile copies into its image."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from dsk import paths

_MADE_ANEW: Final = ("_data", "__pycache__")
"""What of the package is not copied with it."""


def folder() -> Path:
    """The checkout; for an installed dsk, a copy of what the wheel holds, in the same shape.

    The copy is named for what is in it and written once: a build that runs keeps its own, whatever
    others begin meanwhile.
    """
    if paths.in_checkout():
        return paths.CHECKOUT
    place = paths.cache() / "context" / _fingerprint()
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".dsk-", dir=place.parent) as beside:
            _move(_copied(Path(beside) / "context"), place)
    return place


def _copied(place: Path) -> Path:
    shutil.copytree(paths.data(), place)
    unpacked = shutil.ignore_patterns(*_MADE_ANEW)
    shutil.copytree(paths.PACKAGE, place / "toolkit" / "dsk", ignore=unpacked)
    return place


def _move(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():  # else another build was first
            raise


def _fingerprint() -> str:
    """64 hex digits: the sha256 of every file that is copied, with its name."""
    found = hashlib.sha256()
    for root in (paths.data(), paths.PACKAGE):
        for file in sorted(root.rglob("*")):
            name = file.relative_to(root)
            if file.is_file() and not {*_MADE_ANEW} & {*name.parts}:
                found.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return found.hexdigest()

"""The context of a build: what a Dockerfile copies into its image."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from dsk import __version__, paths

if TYPE_CHECKING:
    from pathlib import Path


def folder() -> Path:
    """The checkout; for an installed dsk, a copy of what the wheel holds, in the same shape."""
    if paths.in_checkout():
        return paths.CHECKOUT
    place = paths.cache() / "context" / __version__
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(paths.data(), place)
    unpacked = shutil.ignore_patterns("_data", "__pycache__")
    shutil.copytree(paths.PACKAGE, place / "toolkit" / "dsk", ignore=unpacked)
    return place

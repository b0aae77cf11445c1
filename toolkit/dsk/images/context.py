"""The build context: the files that a Dockerfile copies into its image."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from dsk import paths

# Folders of the package that are not copied.
_LEFT_OUT: Final = ("_data", "__pycache__")


def folder() -> Path:
    """Return the checkout; for an installed dsk, a copy of the wheel's files in the same layout."""
    if paths.in_checkout():
        return paths.CHECKOUT
    # Named by its content and written once: a running build keeps its context, even if dsk is
    # updated meanwhile and another build starts.
    context = paths.cache() / "context" / _fingerprint()
    if not context.is_dir():
        context.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".dsk-", dir=context.parent) as temporary:
            _move(_copied(Path(temporary) / "context"), context)
    return context


def _copied(context: Path) -> Path:
    shutil.copytree(paths.data(), context)
    left_out = shutil.ignore_patterns(*_LEFT_OUT)
    shutil.copytree(paths.PACKAGE, context / "toolkit" / "dsk", ignore=left_out)
    return context


def _move(copy: Path, context: Path) -> None:
    try:
        copy.rename(context)
    except OSError:
        if not context.is_dir():  # else another build was first
            raise


def _fingerprint() -> str:
    """Return the sha256 of all files that are copied, names included, as 64 hex digits."""
    digest = hashlib.sha256()
    for root in (paths.data(), paths.PACKAGE):
        for file in sorted(root.rglob("*")):
            name = file.relative_to(root)
            if file.is_file() and not {*_LEFT_OUT} & {*name.parts}:
                digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()

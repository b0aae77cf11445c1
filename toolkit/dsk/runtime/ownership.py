"""Root's folders, lent for a while to the user that a container runs as, and given back."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NOBODYS: Final = (60999, 60999)
"""User and group of no one: neither Debian nor systemd gives the number to anybody, and engines
that map users to a range of 65536 know it."""


@contextlib.contextmanager
def lent(folders: Iterable[Path], to: tuple[int, int]) -> Iterator[None]:
    """Lend folders; when the block ends, what they hold that is the borrower's is the lender's.

    The first folder is lent by itself, and everything in it is given back; the others, below it,
    are lent with all they hold. What a killed run left lent, the next one gives back.
    """
    first, *others = folders
    owners: dict[Path, tuple[int, int]] = {}
    for path in (first, *(path for folder in others for path in _below(folder))):
        found = path.lstat()
        if found.st_uid != to[0]:
            owners[path] = (found.st_uid, found.st_gid)
            os.chown(path, *to, follow_symlinks=False)
    try:
        yield
    finally:
        mine = (os.geteuid(), os.getegid())
        for path in _below(first):
            if path.lstat().st_uid == to[0]:
                os.chown(path, *owners.get(path, mine), follow_symlinks=False)


def _below(folder: Path) -> Iterator[Path]:
    """A folder and everything in it; nothing where it is not there."""
    if folder.is_dir() and not folder.is_symlink():
        yield folder
        yield from folder.rglob("*")

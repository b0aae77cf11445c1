"""Temporary change of ownership of root's folders, to the user that a container runs as."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from dsk.files import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# Neither Debian nor systemd assigns this number, and it is in the range of 65536 ids that engines
# with user namespaces map.
# User and group id of nobody.
UNUSED_USER: Final = (60999, 60999)


@contextlib.contextmanager
def lend(folders: Iterable[Path], to: tuple[int, int]) -> Iterator[None]:
    """Give folders to another user until the block ends, then take back what is theirs in them.

    Args:
        folders: the first without its contents; the others, below it, with them.
        to: the ids of the user and the group.
    """
    first, *others = folders
    owners: dict[Path, tuple[int, int]] = {}
    for path in (first, *(path for folder in others for path in _below(folder))):
        status = path.lstat()
        # A second name may be of a file that is somewhere else, put here to be given away.
        is_elsewhere = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        if status.st_uid != to[0] and not is_elsewhere:
            owners[path] = (status.st_uid, status.st_gid)
            os.chown(path, *to, follow_symlinks=False)
    try:
        yield
    finally:
        # Files that were written meanwhile, or that a killed run left behind, become ours.
        mine = (os.geteuid(), os.getegid())
        for path in _below(first):
            if path.lstat().st_uid == to[0]:
                os.chown(path, *owners.get(path, mine), follow_symlinks=False)


def _below(folder: Path) -> Iterator[Path]:
    """Yield a folder and everything in it; nothing if it does not exist."""
    if folder.is_dir() and not folder.is_symlink():
        yield folder
        for parent, folders, names in walk(folder):
            yield from (parent / name for name in (*folders, *names))

"""Files and folders of this machine that a container sees, at the same absolute paths.

With the same paths a run plan, a message or a record means the same on both sides.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Folders that an image needs to run: a mount on one of them, or above it, would hide it.
_IMAGE_FOLDERS: Final = tuple(
    Path(folder)
    for folder in (
        *("/bin", "/dev", "/etc", "/lib", "/lib64", "/opt/dsk", "/opt/python"),
        *("/proc", "/sbin", "/sys", "/tmp", "/usr"),  # noqa: S108 named, not written to
    )
)
# Most files to mount one by one, for the length of a command line; of more, their folders are.
_MOST_FILES: Final = 200
# Folders of an image that only their owner may enter, although there are mounts below them.
CLOSED: Final = (Path("/root"), Path("/home"))


@dataclass(frozen=True, kw_only=True)
class Mount:
    """File or folder of this machine, and its path in the container."""

    source: Path
    target: Path
    writable: bool = False

    @property
    def option(self) -> str:
        """Value of docker's ``--mount``, which is a line of CSV."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(
            fields if self.writable else [*fields, "readonly"]
        )
        return line.getvalue()


def container_path(path: Path) -> Path:
    """Return a path as the container has it: absolute, its folder without symbolic links."""
    return path.absolute().parent.resolve() / path.name if path.name else path.resolve()


def read_mounts(paths: Iterable[Path]) -> Iterator[Mount]:
    """Yield mounts of files and folders to read, and of the targets of links in those folders.

    Raises:
        UsageProblem: a folder would hide the image's own files.
    """
    all_paths = list(paths)
    few = len(all_paths) <= _MOST_FILES
    wanted = all_paths if few else [_folder_of(path) for path in all_paths]
    for path in dict.fromkeys(path if _is_unicode(path) else _folder_of(path) for path in wanted):
        target = container_path(path)
        yield Mount(source=path.resolve(), target=target)
        if path.is_dir():
            _refuse_hiding(target)
            yield from _linked_from(path.resolve())


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else container_path(path).parent


def _is_unicode(path: Path) -> bool:
    """Return True if docker's API, which takes UTF-8, can name the path."""
    # Names of files are bytes: Python gives those that are no UTF-8 as lone surrogates.
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def write_mount(folder: Path) -> Mount:
    """Return the mount of a folder to write to.

    Raises:
        UsageProblem: it would hide the image's own files.
    """
    real = folder.resolve()
    _refuse_hiding(real)
    return Mount(source=real, target=real, writable=True)


def _linked_from(folder: Path) -> Iterator[Mount]:
    """Yield mounts of files outside a folder that links in it name, as in the hub's cache."""
    done: set[Path] = set()
    for link in sorted(folder.rglob("*")):
        if not link.is_symlink() or not link.is_file():
            continue
        target = Path(os.path.normpath(link.parent / link.readlink()))
        if not target.is_relative_to(folder) and target not in done:
            done.add(target)
            yield Mount(source=link.resolve(), target=target)


def _refuse_hiding(folder: Path) -> None:
    hidden = next((needed for needed in _IMAGE_FOLDERS if needed.is_relative_to(folder)), None)
    if hidden is not None:
        what = f"the folder {folder} would hide {hidden} of the image"
        raise UsageProblem(what, do="choose a folder below it")

"""What a container sees of this machine: the same absolute paths, and nothing else.

A file keeps its path inside, so that a job, a message or a record means the same on both sides.
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

# Where an image keeps what it runs by; a folder that is one of these, or holds one, hides it.
_THE_IMAGES_OWN: Final = tuple(
    Path(place)
    for place in (
        *("/bin", "/dev", "/etc", "/lib", "/lib64", "/opt/dsk", "/opt/python"),
        *("/proc", "/sbin", "/sys", "/tmp", "/usr"),  # noqa: S108 named, not written to
    )
)
_MOST_FILES: Final = 200
"""Of more files their folders are shown: a command line, and the kernel, hold only so many."""
# Folders of an image that only their owner may enter: what lies below them is mounted all the same.
CLOSED: Final = (Path("/root"), Path("/home"))


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A file or folder of this machine, and where the container sees it."""

    source: Path
    target: Path
    writable: bool = False

    @property
    def option(self) -> str:
        """The value of docker's ``--mount``, which is a line of CSV."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(
            fields if self.writable else [*fields, "readonly"]
        )
        return line.getvalue()


def placed(path: Path) -> Path:
    """A path as the container has it: absolute, its folder without symbolic links."""
    return path.absolute().parent.resolve() / path.name if path.name else path.resolve()


def reading(paths: Iterable[Path]) -> Iterator[Mount]:
    """Files and folders to be read, and what symbolic links in those folders point to.

    Raises:
        UsageProblem: a folder would hide the image's own files.
    """
    given = list(paths)
    wanted = given if len(given) <= _MOST_FILES else [_folder_of(path) for path in given]
    for path in dict.fromkeys(path if _has_a_name(path) else _folder_of(path) for path in wanted):
        target = placed(path)
        yield Mount(source=path.resolve(), target=target)
        if path.is_dir():
            _refuse_hiding(target)
            yield from _linked_from(path.resolve())


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else placed(path).parent


def _has_a_name(path: Path) -> bool:
    """Whether docker can be told of it: its API speaks UTF-8, names of files any bytes."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def writing(folder: Path) -> Mount:
    """A folder to be written to.

    Raises:
        UsageProblem: it would hide the image's own files.
    """
    real = folder.resolve()
    _refuse_hiding(real)
    return Mount(source=real, target=real, writable=True)


def _linked_from(folder: Path) -> Iterator[Mount]:
    """The files outside a folder that links in it name; a hub's cache is made of such links."""
    seen: set[Path] = set()
    for link in sorted(folder.rglob("*")):
        if not link.is_symlink() or not link.is_file():
            continue
        named = Path(os.path.normpath(link.parent / link.readlink()))
        if not named.is_relative_to(folder) and named not in seen:
            seen.add(named)
            yield Mount(source=link.resolve(), target=named)


def _refuse_hiding(folder: Path) -> None:
    hidden = next((own for own in _THE_IMAGES_OWN if own.is_relative_to(folder)), None)
    if hidden is not None:
        what = f"the folder {folder} would hide {hidden} of the image"
        raise UsageProblem(what, do="name a folder below it")

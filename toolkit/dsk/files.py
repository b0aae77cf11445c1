"""Writing a file so that nobody ever sees half of it, and locks for what takes longer."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import FileLock

_UNFINISHED: Final = ".dsk-"
"""How the name begins of a file that is being written."""


def lock_beside(place: Path) -> FileLock:
    """The lock of a place, a file beside it; the kernel lets go of it when its holder dies."""
    from filelock import FileLock

    return FileLock(place.with_name(place.name + ".lock"), is_singleton=False)


def write_atomically(file: Path, text: str) -> None:
    """Write UTF-8 text beside its place, then move it there: the old text or the new, never a part.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    write_bytes_atomically(file, text.encode())


def write_bytes_atomically(file: Path, content: bytes) -> None:
    """Write bytes as `write_atomically` writes text.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    with writing_atomically(file) as stream:
        stream.write(content)


@contextmanager
def writing_atomically(file: Path) -> Iterator[IO[bytes]]:
    """A stream to a new file beside ``file``, which takes its place when the block ends well.

    Raises:
        UsageProblem: the folder cannot be written to, or the disk is full.
    """
    with beside(file) as (_, descriptor), os.fdopen(os.dup(descriptor), "wb") as stream:
        yield stream


@contextmanager
def beside(file: Path) -> Iterator[tuple[Path, int]]:
    """A new file beside ``file``, by path and descriptor, which takes its place as above.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=_UNFINISHED)
    except OSError as error:
        what = f"{file} cannot be written: {error.strerror}"
        raise UsageProblem(what, do="choose a folder that you may write to") from error
    made = Path(name)
    try:
        yield made, descriptor
        os.fsync(descriptor)
        made.chmod(0o644)
        made.replace(file)
    except OSError as error:
        made.unlink(missing_ok=True)
        what = f"{file} cannot be written: {error.strerror}"
        raise UsageProblem(what, do="mend that, then run the same command again") from error
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what a killed process had not finished writing, in a folder and below it."""
    for file in folder.rglob(f"{_UNFINISHED}*"):
        file.unlink(missing_ok=True)

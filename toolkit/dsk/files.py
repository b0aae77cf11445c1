"""Atomic writing of files, and lock files."""

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

# Prefix of the name of a file that is being written.
_UNFINISHED: Final = ".dsk-"


def lock_beside(path: Path) -> FileLock:
    """Return the lock for a path, a file beside it."""
    # flock, not a file that is created and deleted: the kernel unlocks it when its holder dies.
    from filelock import FileLock

    return FileLock(path.with_name(path.name + ".lock"))


def write_atomically(file: Path, text: str) -> None:
    """Write UTF-8 text so that readers see the whole old file or the whole new one.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    write_bytes_atomically(file, text.encode())


def write_bytes_atomically(file: Path, content: bytes) -> None:
    """Write bytes so that readers see the whole old file or the whole new one.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    with writing_atomically(file) as stream:
        stream.write(content)


@contextmanager
def writing_atomically(file: Path) -> Iterator[IO[bytes]]:
    """Yield a stream to a temporary file, which replaces ``file`` when the block succeeds.

    Raises:
        UsageProblem: the folder cannot be written to, or the disk is full.
    """
    with temporary_beside(file) as (_, descriptor), os.fdopen(os.dup(descriptor), "wb") as stream:
        yield stream


@contextmanager
def temporary_beside(file: Path) -> Iterator[tuple[Path, int]]:
    """Yield path and descriptor of a temporary file, which replaces ``file`` on success.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=_UNFINISHED)
    except OSError as error:
        what = f"{file} cannot be written: {error.strerror}"
        raise UsageProblem(what, do="choose a folder that you may write to") from error
    temporary = Path(name)
    try:
        yield temporary, descriptor
        # A rename may reach the disk before the data do: after a power cut the file would be there
        # and empty.
        os.fsync(descriptor)
        temporary.chmod(0o644)  # mkstemp gives 0600, the umask or not
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        what = f"{file} cannot be written: {error.strerror}"
        raise UsageProblem(what, do="fix that, then run the same command again") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder and below it."""
    for file in folder.rglob(f"{_UNFINISHED}*"):
        file.unlink(missing_ok=True)

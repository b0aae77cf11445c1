"""The file of a document, and the notice that it is no longer the one that was planned.

A run opens a document many times, in several processes: a file that is replaced or written to in
the meantime would give outputs of two versions.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final, Self

from dsk.errors import InputUnreadable
from dsk.filenames import printable

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.run_plan import Document

_CHUNK: Final = 1 << 20
_SPECIAL: Final = "it is not a regular file"

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, times of the last change to the content and to the inode.

The last of them cannot be set by anybody: a file with an equal stamp has equal bytes, as far as its
file system counts time finely enough. The hash before outputs are written does not rely on that.
"""


class InputChanged(InputUnreadable):
    """A document's file was replaced or written to during the run."""

    def __init__(self, path: Path) -> None:
        what = f"{printable(path)} changed while it was read"
        super().__init__(what, do="run the same command again when nobody writes to it")


class InputFile:
    """An open file of a document. A context manager that closes it.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe or a device.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Opening a device may do something, such as rewinding a tape.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, _SPECIAL)
        # Without O_NONBLOCK, a pipe that took the file's place would wait for a writer.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self.descriptor = os.open(path, flags)
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            os.close(self.descriptor)
            raise OSError(errno.EINVAL, _SPECIAL)
        self._verified: Stamp | None = None
        self._sha256 = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)

    def stamp(self) -> Stamp:
        """Return what changes whenever the file does, or is another one."""
        status = os.fstat(self.descriptor)
        return (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    def sha256(self) -> str:
        """Return the hash of its bytes.

        Raises:
            InputChanged: it is being written to.
        """
        before = self.stamp()
        digest = hashlib.sha256()
        position, size = 0, before[2]
        # No further than its size: a file may grow faster than it is read.
        while position < size and (chunk := os.pread(self.descriptor, _CHUNK, position)):
            digest.update(chunk)
            position += len(chunk)
        if self.stamp() != before:
            raise InputChanged(self._path)
        return digest.hexdigest()

    def expect(self, document: Document) -> None:
        """Check now that it is the file of a plan, and from now on with `require_unchanged`.

        Raises:
            InputChanged: it is not.
        """
        self._sha256 = document.sha256
        self._verified = document.stamp
        self.require_unchanged()

    def require_unchanged(self) -> None:
        """Check that the bytes are those of the plan. Without a plan, it does nothing.

        Raises:
            InputChanged: they are not.
        """
        if not self._sha256 or (now := self.stamp()) == self._verified:
            return
        # Another name or mode, or a copy in a container, has the same bytes.
        if self.sha256() != self._sha256:
            raise InputChanged(self._path)
        self._verified = now


def require_planned(document: Document) -> None:
    """Check by its hash that a document's file has the bytes that were planned.

    Raises:
        InputChanged: it has others. A file that is gone or unreadable raises nothing.
    """
    try:
        with InputFile(document.path) as file:
            actual = file.sha256()
    except OSError:
        return
    if document.sha256 and actual != document.sha256:
        raise InputChanged(document.path)

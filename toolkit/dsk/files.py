"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dsk.errors import UsageProblem


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
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    except OSError as error:
        what = f"{file} cannot be written: {error.strerror}"
        raise UsageProblem(what, do="choose a folder that you may write to") from error
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.chmod(0o644)
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise

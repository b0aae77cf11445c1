"""The output folder of a run: writable, and written to by one run at a time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING

from dsk import console, file_lock
from dsk.errors import UsageProblem
from dsk.filenames import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def ensure_writable(out: Path) -> None:
    """Create the output folder if it is missing, and check that files can be written to it.

    Raises:
        UsageProblem: they cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        what = f"the output folder {printable(out)} cannot be written to ({error.strerror})"
        raise UsageProblem(what, do="name another with -o") from error


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output folder's lock.

    Raises:
        UsageProblem: another run holds it.
    """
    # The folder itself is locked: no file is left behind, and no crash leaves it locked.
    with contextlib.ExitStack() as held:
        descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        try:
            held.enter_context(file_lock.locked(descriptor, out, warn=console.warn))
        except file_lock.LockHeldError as error:
            what = f"another run writes to {printable(out)} ({error})"
            raise UsageProblem(what, do="wait for it, or name another folder with -o") from error
        yield

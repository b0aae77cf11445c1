"""The output folder of a run: writable, and written to by one run at a time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Final

from dsk import console, file_lock, own_image
from dsk.errors import UsageProblem
from dsk.filenames import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POD: Final = "mount a volume there that the pod's user can write to, or name another with -o"


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
        do = own_image.advice("name another with -o", kubernetes=_POD)
        raise UsageProblem(what, do=do) from error


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

"""The file of a key that was made up for a server: its owner alone can read it, while it runs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from dsk import paths
from dsk.credentials import KEY_VARIABLE
from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def key_file(key: str, host: str, port: int) -> Iterator[Path]:
    """Yield a file that holds a key, in the user's cache, until the block ends.

    A log would keep the key, and logs are read by others, copied into issues and sent to services.

    Raises:
        UsageProblem: the file cannot be written.
    """
    folder = paths.cache() / "keys"
    file = folder / f"{host}-{port}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file that a killed server left, or a link that somebody put there.
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        what = f"the key that was made up for {host} cannot be kept in {file} ({error.strerror})"
        raise UsageProblem(what, do=f"give one with {KEY_VARIABLE} or --api-key-file") from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{key}\n")
        yield file
    finally:
        file.unlink(missing_ok=True)

"""Processes that SIGKILL does not end: their writes wait for a file system that is frozen."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS: Final = ("mkfs.ext2", "mount", "umount", "fsfreeze")


@contextlib.contextmanager
def frozen_folder() -> Iterator[Path]:
    """Yield a folder of a frozen file system: who writes to it is in state D while it is."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"only root can freeze a file system, by {', '.join(missing or PROGRAMS)}")
    with tempfile.TemporaryDirectory(prefix="dsk-frozen-") as name:
        image, folder = Path(name, "image"), Path(name, "mounted")
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(8 << 20)
        run("mkfs.ext2", "-q", image)
        if subprocess.run(["mount", "-o", "loop", image, folder], check=False).returncode != 0:
            pytest.skip("no file can be mounted here")
        try:
            run("fsfreeze", "--freeze", folder)
            try:
                yield folder
            finally:
                run("fsfreeze", "--unfreeze", folder)
        finally:
            unmount(folder)


def unmount(folder: Path) -> None:
    # Writers that were killed meanwhile end a moment after the thaw.
    for _ in range(100):
        if subprocess.run(["umount", folder], check=False).returncode == 0:
            return
        time.sleep(0.1)
    run("umount", "--lazy", folder)


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def is_in_state_d(pid: int) -> bool:
    """Return True if a process is in uninterruptible sleep."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"


def wait_for_state_d(pid: int) -> None:
    for _ in range(600):
        if is_in_state_d(pid):
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} does not wait for the frozen file system")

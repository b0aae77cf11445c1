"""Have a test model made: the launcher's side, without torch."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

from dsk import paths
from dsk.errors import KINDS, DskError
from dsk.files import lock_beside
from dsk.runtime.base import runtime_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.matrix import Stack


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a finished test model: its configuration is written last."""
    return (folder / "config.json").is_file()


def place(side: int = 16) -> Path:
    """Where the tiny model of `cached` lies, or would: made by other code, it is another."""
    made_by = hashlib.sha256()
    for source in sorted((paths.PACKAGE / "eyechart").glob("*.py")):
        made_by.update(source.read_bytes())
    return paths.cache() / "models" / f"eyechart-tiny-{side}-{made_by.hexdigest()[:12]}"


def cached(
    stack: Stack, side: int = 16, *, runtime: str = "venv", progress: Callable[[str], None]
) -> Path:
    """The tiny model in the cache, which `dsk demo` and probes read with; made where it is not.

    One process makes it, and others that want it wait for that one: writing it anew would take the
    weights from under an engine that has them mapped.

    Args:
        stack: whose torch makes it; also see `make`.
        progress: told "3/4" as charts are encoded.

    Raises:
        EngineMissing: the environment is not there.
        DskError: the model could not be written; its own words are on stderr.
    """
    folder = place(side)
    if not is_whole(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock_beside(folder):
            if not is_whole(folder):
                make(folder, stack, side=side, runtime=runtime, progress=progress)
    return folder


def make(
    folder: Path,
    stack: Stack,
    *,
    size: str = "tiny",
    side: int = 16,
    seed: int = 0,
    runtime: str = "venv",
    progress: Callable[[str], None],
) -> None:
    """Write a test model in a stack's environment.

    Args:
        folder: where to; see `dsk.eyechart.checkpoint.write`.
        runtime: where the stack's torch is; see `dsk.runtime.base.runtime_for`.
        progress: told "3/4" as charts are encoded.

    Raises:
        EngineMissing: the environment is not there.
        DskError: the model could not be written; its own words are on stderr.
    """
    arguments: list[str | Path] = [folder.absolute(), size, str(side), str(seed)]
    with runtime_for(stack, runtime).start(
        "dsk.eyechart", arguments, stdout=subprocess.PIPE
    ) as child:
        assert child.process.stdout is not None
        for line in child.process.stdout:
            progress(line.strip())
        code = child.wait()
    if code != 0:
        kind = next((kind for kind in KINDS if kind.exit_code == code), DskError)
        message = f"the test model was not written to {folder}"
        raise kind(message, do="what stopped it stands above")

"""Search for a Python of exactly the minor version that a stack is locked for."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from dsk import processes
from dsk.errors import EngineMissing

_SECONDS = 10.0


def find_python(version: str, *, uv: str) -> Path:
    """Return a Python of this minor version: ours, else one on PATH, else one that uv knows.

    Args:
        version: such as ``"3.11"``.
        uv: the path of uv, which also finds the interpreters that it installed.

    Raises:
        EngineMissing: there is none on this machine.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path and _is(on_path, version):
        return Path(on_path)
    # Not in the working folder: uv would start the Python of a .venv that lies there.
    answer = processes.capture(
        [uv, "python", "find", "--no-project", "--no-python-downloads", version],
        seconds=_SECONDS,
        folder=Path("/"),
    )
    if answer.code == 0 and _is(answer.stdout.strip(), version):
        return Path(answer.stdout.strip())
    what = f"there is no Python {version} on this machine"
    raise EngineMissing(what, do=f"uv python install {version}")


def _is(python: str, version: str) -> bool:
    """Return True if the program starts and is of that version."""
    # pyenv's shim for a version that is not selected is on PATH too, and only prints an error.
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = processes.capture([python, "-I", "-c", code], seconds=_SECONDS)
    except EngineMissing:
        return False
    return answer.code == 0 and answer.stdout.strip() == version

"""Finding a Python of exactly the minor version that a stack is locked for."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from dsk import processes
from dsk.errors import EngineMissing

_SECONDS = 10.0


def find_python(version: str, *, uv: str) -> Path:
    """An interpreter of this minor version: ours, else the one on PATH, else one that uv knows.

    Args:
        version: such as ``"3.11"``.
        uv: the path of uv, which also knows the interpreters that it installed itself.

    Raises:
        EngineMissing: there is none on this machine.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path and _is(on_path, version):
        return Path(on_path)
    asked = processes.capture(
        [uv, "python", "find", "--no-project", "--no-python-downloads", version], seconds=_SECONDS
    )
    if asked.code == 0 and _is(asked.stdout.strip(), version):
        return Path(asked.stdout.strip())
    what = f"there is no Python {version} on this machine"
    raise EngineMissing(what, do=f"uv python install {version}")


def _is(python: str, version: str) -> bool:
    """Whether this really starts and is of that version; a version switcher's shim may not."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        said = processes.capture([python, "-I", "-c", code], seconds=_SECONDS)
    except EngineMissing:
        return False
    return said.code == 0 and said.stdout.strip() == version

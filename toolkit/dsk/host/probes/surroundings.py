"""Probe of what a container lets its processes do: write, load what they wrote, start threads."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dsk import paths

# Limits of processes of a container, which cgroup v2 and v1 show as its own.
_PIDS: Final = ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Properties of the container around this process.

    Args:
        cache: the folder of dsk's caches.
        cache_problem: why nothing can be written to it; empty if something can.
        cache_denied: True if that is for the rights of this process's user.
        scratch: the folder of temporary files.
        scratch_problem: why nothing can be written to it, or loaded from it; empty without one.
        pids: the limit of processes and threads; None without one.
    """

    cache: Path
    cache_problem: str = ""
    cache_denied: bool = False
    scratch: Path
    scratch_problem: str = ""
    pids: int | None = None


def surroundings() -> Surroundings:
    """Return what the container around this process lets it do."""
    cache, scratch = paths.cache().absolute(), Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108
    problem, denied = "", False
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        problem, denied = error.strerror or str(error), isinstance(error, PermissionError)
    return Surroundings(
        cache=cache,
        cache_problem=problem,
        cache_denied=denied,
        scratch=scratch,
        scratch_problem=_scratch_problem(scratch),
        pids=_pids(),
    )


def _scratch_problem(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        # Docker mounts a tmpfs without exec unless it is asked for.
        if os.statvfs(folder).f_flag & os.ST_NOEXEC:
            return "noexec: compiled kernels cannot be loaded from it"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _pids() -> int | None:
    for file in _PIDS:
        try:
            text = Path(file).read_text("ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None

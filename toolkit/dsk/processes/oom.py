"""Counters of the kernel's out-of-memory killer, read before and after a program ran."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.processes.exit_status import OomVerdict

_ROOT: Final = Path("/")


@dataclass(frozen=True, kw_only=True)
class OomCounts:
    """Processes that the killer has ended so far; None where the kernel does not say.

    Args:
        group: of this process's control group, and of those below it.
        machine: of the whole machine, containers included.
    """

    group: int | None
    machine: int | None


def counts(root: Path = _ROOT) -> OomCounts:
    """Return the counters as they are now."""
    group = next(
        (count for file in _group_files(root) if (count := _count(file)) is not None), None
    )
    return OomCounts(group=group, machine=_count(root / "proc/vmstat"))


def since(before: OomCounts, now: OomCounts) -> OomVerdict:
    """Return the killer's part in the end of a process that ran between two readings."""
    if before.group is not None and now.group is not None:
        return "killed" if now.group > before.group else "no"
    if before.machine is not None and now.machine is not None:
        # The machine's counter names no process: another container's may have been meant.
        return "perhaps" if now.machine > before.machine else "no"
    return "unknown"


def _group_files(root: Path) -> Iterator[Path]:
    """Yield the files that may hold the count of this process's control group."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # In a container the path may be that outside, and the mount shows the group itself.
        if number == "0":
            yield mounts / path.lstrip("/") / "memory.events"
            yield mounts / "memory.events"
        elif "memory" in controllers.split(","):
            yield mounts / "memory" / path.lstrip("/") / "memory.oom_control"
            yield mounts / "memory" / "memory.oom_control"


def _count(file: Path) -> int | None:
    """Return the ``oom_kill`` line of a file of counters; None if there is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return None

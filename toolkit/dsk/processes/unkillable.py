"""Processes that SIGKILL does not end: found, named, and not waited for."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# Seconds from SIGKILL to the end of a process that can be killed: one that has tens of GB of
# pinned or GPU memory takes some of them to give it back.
KILL_SECONDS: Final = 5.0

_POLL: Final = 0.05
_DEAD: Final = frozenset("ZX")


def has_ended(process: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process that was killed, but not longer than some seconds."""
    # In uninterruptible sleep (state D), as on a dead network disk or a card that fell off the bus,
    # it dies only when the device answers, which may be never.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
    return process.returncode is not None


def left_of(group: int, seconds: float) -> tuple[int, ...]:
    """Return the living processes of a killed process group, after waiting for them to end."""
    deadline = time.monotonic() + seconds
    while members := _members(group):
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL)
    return members


def described(pids: Sequence[int]) -> str:
    """Return a sentence that names processes which cannot be killed, and what to do about them."""
    names = ", ".join(f"{pid} ({_name(pid)})" for pid in pids)
    which, it = ("process", "it waits") if len(pids) == 1 else ("processes", "they wait")
    return (
        f"{which} {names} cannot be killed: {it} in the kernel for a device or a network disk. "
        "They end when that answers, or with a restart of the machine; 'dmesg | tail' may say why"
    )


def _members(group: int) -> tuple[int, ...]:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return ()
    except PermissionError:
        pass
    return tuple(pid for pid in _pids() if _is_alive_in(group, pid))


def _pids() -> list[int]:
    return sorted(int(folder.name) for folder in Path("/proc").glob("[0-9]*"))


def _is_alive_in(group: int, pid: int) -> bool:
    try:
        # The name, in brackets, may hold spaces and brackets of its own.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended
        return False
    return fields[0] not in _DEAD and int(fields[2]) == group


def _name(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "ended by now"
    return "".join(letter if letter.isprintable() else "?" for letter in name)

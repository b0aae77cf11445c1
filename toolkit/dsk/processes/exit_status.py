"""Exit statuses in words: the signal that ended a program, and its usual cause."""

from __future__ import annotations

import signal
from typing import Final, Literal

OomVerdict = Literal["killed", "perhaps", "no", "unknown"]
"""Part of the kernel's out-of-memory killer in an end: whether it killed a process of the same
control group, one of this machine, or none; or nobody can say."""

_SIGNAL_BASE: Final = 128  # as a shell reports a signal
_CAUSES: Final = {
    "SIGABRT": "the program aborted itself",
    "SIGBUS": "/dev/shm is full, or a file that it had mapped became shorter",  # noqa: S108
    "SIGFPE": "a division by zero in compiled code",
    "SIGILL": "an instruction that this processor does not have",
    "SIGSEGV": "a crash in compiled code",
    "SIGTERM": "somebody asked it to end",
    "SIGXFSZ": "a file grew beyond a limit",
}
_KILLED: Final[dict[OomVerdict, str]] = {
    "killed": "the kernel's out-of-memory killer",
    "perhaps": "probably the kernel's out-of-memory killer, which killed a process here meanwhile",
    "no": "somebody killed it; not the kernel's out-of-memory killer",
    "unknown": "somebody killed it, or the kernel did for lack of memory",
}


def shell_code(returncode: int) -> int:
    """Return the exit code of a `subprocess` return code: 128 + n for signal n."""
    return _SIGNAL_BASE - returncode if returncode < 0 else returncode


def signal_name(code: int) -> str:
    """Return the name of the signal of a shell's exit code; empty if it is no signal's."""
    try:
        return signal.Signals(code - _SIGNAL_BASE).name
    except ValueError:
        return ""


def described(code: int, oom: OomVerdict = "unknown") -> str:
    """Return a status with its signal and usual cause, such as ``status 139 (SIGSEGV: a crash …)``.

    Args:
        code: as a shell has it.
        oom: the out-of-memory killer's part.
    """
    name = signal_name(code)
    if oom == "killed" and name != "SIGKILL":
        # vLLM's engine is a process of its own: its API server reports that it is gone, with 1.
        return f"status {code} (meanwhile the kernel's out-of-memory killer ended a process here)"
    if not name:
        return f"status {code}"
    cause = _KILLED[oom] if name == "SIGKILL" else _CAUSES.get(name, "")
    return f"status {code} ({name}{f': {cause}' if cause else ''})"

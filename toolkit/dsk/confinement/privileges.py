"""Privileges, limits and descriptors that a process gives up."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
from pathlib import Path
from typing import Final

from dsk.confinement.kernel import prctl, system_call

# Of linux/prctl.h and linux/capability.h.
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION: Final = 0x20080522
_CAPABILITY_CALLS: Final = {"x86_64": (125, 126), "aarch64": (90, 91)}  # capget, capset
# Root reads and replaces other users' files by these: DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER.
_KEPT_CAPABILITIES: Final = 0b1110
_FIRST_TO_KILL: Final = 1000


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("process", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def fork() -> int:
    """Fork; return 0 in the child, which the kernel kills when this process dies."""
    parent = os.getpid()
    process = os.fork()
    if process == 0:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        # The parent may have died between the fork and prctl; then no signal would ever come.
        if os.getppid() != parent:
            os._exit(1)
    return process


def forbid_new_privileges() -> None:
    """Make set-user-id programs and file capabilities of no effect.

    Raises:
        OSError: the kernel, older than 3.5, does not know it.
    """
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up root's capabilities but those over files; other users have none to give up.

    Raises:
        OSError: the kernel refuses.
    """
    if platform.machine() not in _CAPABILITY_CALLS:
        return
    header = _CapabilityHeader(version=_CAPABILITY_VERSION, process=0)
    data = (_CapabilityData * 2)()  # 64 bits in two words
    capget, capset = _CAPABILITY_CALLS[platform.machine()]
    system_call(capget, ctypes.byref(header), data)
    for index, word in enumerate(data):
        kept = word.permitted & (_KEPT_CAPABILITIES if index == 0 else 0)
        data[index] = _CapabilityData(effective=kept, permitted=kept, inheritable=0)
    system_call(capset, ctypes.byref(header), data)


def limit(kind: int, value: int) -> None:
    """Set a limit of `resource`, soft and hard; a lower one that the process has is kept."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def be_killed_first() -> None:
    """Have the kernel kill this process before any other when memory runs out."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_KILL), "ascii")
    except OSError:  # no /proc, as in some chroots
        return


def keep_descriptor(kept: int) -> None:
    """Point standard input, output and error at ``/dev/null``, and close all others but one.

    Args:
        kept: the descriptor that stays.
    """
    # A library may have opened files when it was imported, before the fork: onnxruntime, which some
    # releases of PyMuPDF import, keeps its log and its database open.
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    # The log behind them is the engine's, too: nobody else may write to it.
    descriptor = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(descriptor, number)
    os.close(descriptor)

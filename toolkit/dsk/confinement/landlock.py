"""Landlock: a process gives up the files, ports and signals that it needs no more.

Numbers, flags and structures are those of linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from enum import IntFlag
from typing import TYPE_CHECKING, Final

from dsk.confinement.kernel import system_call

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# The same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1

_NOT_OFFERED: Final = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)

_TCP: Final = 0b11  # bind and connect, since ABI 4
_SCOPES: Final = 0b11  # abstract Unix sockets and signals, since ABI 6


class FileAccess(IntFlag):
    """Actions on files and folders, LANDLOCK_ACCESS_FS_* of the kernel."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ: Final = FileAccess.READ_FILE | FileAccess.READ_DIR
WRITE: Final = (
    READ
    | FileAccess.WRITE_FILE
    | FileAccess.TRUNCATE
    | FileAccess.MAKE_REG
    | FileAccess.MAKE_DIR
    | FileAccess.REMOVE_FILE
)
# All that a rule on a file, not a folder, may hold.
_OF_FILES: Final = (
    FileAccess.EXECUTE
    | FileAccess.WRITE_FILE
    | FileAccess.READ_FILE
    | FileAccess.TRUNCATE
    | FileAccess.IOCTL_DEV
)


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # Python 3.14 wants it named where the structure is packed
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """Return the version of the kernel's interface; 0 if it offers none."""
    return offered()[0]


def offered() -> tuple[int, int]:
    """Return the version of the kernel's interface, and the error number if it offers none.

    ENOSYS: the kernel has no Landlock. EOPNOTSUPP: it was started without. EPERM: something
    forbids it, such as the seccomp profile of an old container engine.
    """
    try:
        return system_call(_CREATE_RULESET, None, 0, _VERSION_FLAG), 0
    except OSError as error:
        if error.errno in _NOT_OFFERED:
            return 0, error.errno
        raise


def restrict(rules: Iterable[tuple[Path, FileAccess]]) -> bool:
    """Give up all files but those of the rules, TCP, and signals to other processes.

    It binds the calling thread and its descendants; ``no_new_privs`` has to be set.

    Args:
        rules: files and folders, each with the actions that stay allowed on it and below. One that
            is missing or out of reach is left out; so is a folder where the rule has no READ_DIR,
            since it has taken a file's place.

    Returns:
        False if the kernel offers no Landlock: nothing is given up then.

    Raises:
        OSError: the kernel has Landlock and refuses to apply it.
    """
    version = abi()
    if not version:
        return False
    handled = _handled(version)
    attr = _RulesetAttr(
        handled_access_fs=handled,
        handled_access_net=_TCP if version >= 4 else 0,
        scoped=_SCOPES if version >= 6 else 0,
    )
    # Older kernels take a longer structure if what they do not know of it is zero.
    ruleset = system_call(_CREATE_RULESET, ctypes.byref(attr), ctypes.sizeof(attr), 0)
    try:
        for path, access in rules:
            _allow(ruleset, path, access & handled)
        system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _handled(version: int) -> FileAccess:
    """Return the actions that a version of the interface can refuse."""
    # REFER came with ABI 2, TRUNCATE with 3, IOCTL_DEV with 5.
    bits = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    return FileAccess((1 << bits) - 1)


def _allow(ruleset: int, path: Path, access: FileAccess) -> None:
    try:
        # O_PATH: nothing is opened, so neither a pipe nor a disk that is gone can block.
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # missing, or in a folder that the user may not enter
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_FILES
        elif not access & FileAccess.READ_DIR:
            return
        rule = _PathBeneathAttr(allowed_access=access, parent_fd=descriptor)
        system_call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)

"""System calls that Python has no function for, by their numbers."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)


def system_call(number: int, *arguments: object) -> int:
    """Make a system call.

    Args:
        number: of this architecture.
        arguments: integers, None for a null pointer, or pointers of `ctypes`.

    Raises:
        OSError: the kernel refuses.
    """
    return _checked(_libc.syscall, number, *arguments)


def prctl(operation: int, *arguments: object) -> int:
    """Make the system call ``prctl``.

    Raises:
        OSError: the kernel refuses.
    """
    # The kernel wants the arguments that an operation does not take to be zero.
    missing = 4 - len(arguments)
    return _checked(_libc.prctl, operation, *arguments, *[0] * missing)


def _checked(function: ctypes._NamedFuncPointer, *arguments: object) -> int:
    # Both functions are variadic: without its type ctypes would pass an integer as 32 bits.
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(function(*passed))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result

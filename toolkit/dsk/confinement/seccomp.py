"""seccomp: a process gives up all system calls but those that reading and rendering take.

What is not on the list fails with ENOSYS, as on a kernel that does not know it: libraries fall back
to an older call. Sockets, programs, processes, ``ptrace``, ``io_uring`` and namespaces are thus
gone, whatever the kernel adds in later releases.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from dataclasses import dataclass
from typing import Final

from dsk.confinement.kernel import prctl, system_call

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_SET_MODE_FILTER: Final = 1
# Without it kernels before 5.16 switch off speculation for the process, which slows rendering.
_SPEC_ALLOW: Final = 1 << 2

# Of linux/bpf_common.h: load a word, mask it, compare it, return.
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
# Offsets in struct seccomp_data; both architectures are little-endian.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
_X32: Final = 0x40000000  # bit of the numbers of x86-64's second system call table


@dataclass(frozen=True, kw_only=True)
class _Architecture:
    """An architecture: its number in linux/audit.h, its seccomp(2), its column in the tables."""

    audit: int
    seccomp: int
    column: int


_ARCHITECTURES: Final = {
    "x86_64": _Architecture(audit=0xC000003E, seccomp=317, column=0),
    "aarch64": _Architecture(audit=0xC00000B7, seccomp=277, column=1),
}

# Each call's numbers in x86-64's asm/unistd_64.h and in asm-generic/unistd.h, AArch64's; -1 where
# there is none.
_FOR_READING: Final = """
    read 0 63; write 1 64; close 3 57; stat 4 -1; fstat 5 80; lstat 6 -1; poll 7 -1; lseek 8 62;
    mmap 9 222; mprotect 10 226; munmap 11 215; brk 12 214; rt_sigaction 13 134;
    rt_sigprocmask 14 135; rt_sigreturn 15 139; pread64 17 67; pwrite64 18 68; readv 19 65;
    writev 20 66; access 21 -1; select 23 -1; sched_yield 24 124; mremap 25 216; msync 26 227;
    mincore 27 232; madvise 28 233; dup 32 23; dup2 33 -1; nanosleep 35 101; getpid 39 172;
    sendfile 40 71; exit 60 93; uname 63 160; getcwd 79 17; readlink 89 -1; gettimeofday 96 169;
    getrlimit 97 163; getrusage 98 165; sysinfo 99 179; times 100 153; getuid 102 174;
    getgid 104 176; geteuid 107 175; getegid 108 177; getppid 110 173; sigaltstack 131 132;
    statfs 137 43; fstatfs 138 44; gettid 186 178; time 201 -1; futex 202 98;
    sched_getaffinity 204 123; getdents64 217 61; restart_syscall 219 128; fadvise64 221 223;
    clock_gettime 228 113; clock_getres 229 114; clock_nanosleep 230 115; exit_group 231 94;
    newfstatat 262 79; readlinkat 267 78; faccessat 269 48; pselect6 270 72; ppoll 271 73;
    dup3 292 24; set_robust_list 273 99; preadv 295 69; pwritev 296 70; getcpu 309 168;
    getrandom 318 278; membarrier 324 283; preadv2 327 286; pwritev2 328 287; statx 332 291;
    rseq 334 293; close_range 436 436; faccessat2 439 439
"""
_FOR_WRITING: Final = """
    fsync 74 82; fdatasync 75 83; ftruncate 77 46; rename 82 -1; mkdir 83 -1; unlink 87 -1;
    mkdirat 258 34; unlinkat 263 35; renameat 264 38; fallocate 285 47; renameat2 316 276;
    copy_file_range 326 285
"""
# Calls that depend on an argument: their numbers, and the argument's place.
_KILL_SELF: Final = ((62, 129), (234, 131))  # kill, tgkill: the first is a process
_LIMITS: Final = (302, 261)  # prlimit64: the first is a process
_FCNTL: Final = (72, 25)
# Files in memory are of no limit on memory: whoever may write files of many GB gets none.
_MEMORY_FILE: Final = (319, 279)  # memfd_create
# sendto, recvfrom, sendmsg, recvmsg: the flags' place.
_MESSAGES: Final = (((44, 206), 3), ((45, 207), 3), ((46, 211), 2), ((47, 212), 2))
_IOCTL: Final = (16, 29)
# open, openat: the flags are second or third, and the mode of a new file follows.
_OPENS: Final = (((2, -1), 1), ((257, 56), 2))
# A set-user-id program that a document wrote would be the user's to everybody who starts it.
_FORBIDDEN_MODE: Final = 0o7111

# F_DUPFD to F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS. Locks would hold up others, and
# owners of descriptors get signals.
_FCNTL_ALLOWED: Final = (0, 1, 2, 3, 4, 1030, 1033, 1034)
# What Python asks of a new descriptor: TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX,
# FIOCLEX. TIOCSTI would type into the user's terminal.
_IOCTL_ALLOWED: Final = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)

# What Python passes. Others of the kernel's have led out of sandboxes: out-of-band data and peeking
# at descriptors on Unix sockets (CVE-2025-38236, CVE-2021-0920).
_MESSAGE_FLAGS: Final = (0, socket.MSG_NOSIGNAL, socket.MSG_CMSG_CLOEXEC)
# Not MFD_HUGETLB: pages of that kind are set aside for somebody else.
_MEMORY_FILE_FLAGS: Final = (os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING,)

_Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_offered() -> bool:
    """Return True if the kernel has filters, for an architecture whose calls are known here."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    # A filter at address 0: a kernel that has filters fails to read it.
    try:
        prctl(_PR_SET_SECCOMP, _MODE_FILTER, None)
    except OSError as error:
        return error.errno == errno.EFAULT
    return False


def restrict(*, writes: bool) -> bool:
    """Give up all system calls but those for reading, and for writing files if asked for.

    It binds the calling thread and its descendants; ``no_new_privs`` has to be set.

    Returns:
        False if the kernel offers no filters: nothing is given up then.

    Raises:
        OSError: the kernel has filters and refuses this one.
    """
    if not is_offered():
        return False
    architecture = _ARCHITECTURES[platform.machine()]
    code = b"".join(
        struct.pack("HBBI", *each)
        for each in _instructions(architecture, process=os.getpid(), writes=writes)
    )
    program = _Program(length=len(code) // 8, instructions=code)
    number, pointer = architecture.seccomp, ctypes.byref(program)
    try:
        system_call(number, _SET_MODE_FILTER, _SPEC_ALLOW, pointer)
    except OSError as error:
        # The flag came with Linux 4.17, the call with 3.17; some containers forbid it.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
            raise
        prctl(_PR_SET_SECCOMP, _MODE_FILTER, pointer)
    return True


def _instructions(architecture: _Architecture, *, process: int, writes: bool) -> list[_Instruction]:
    column = architecture.column
    tables = [_FOR_READING, _FOR_WRITING] if writes else [_FOR_READING]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for line in ";".join(tables).split(";"):
        number = int(line.split()[1 + column])
        if number >= 0:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for numbers in _KILL_SELF:
        program += _if_number(numbers[column], _one_of(0, (process,)))
    program += _if_number(_LIMITS[column], _one_of(0, (0, process)))
    program += _if_number(_FCNTL[column], _one_of(1, _FCNTL_ALLOWED))
    program += _if_number(_IOCTL[column], _one_of(1, _IOCTL_ALLOWED))
    if not writes:
        program += _if_number(_MEMORY_FILE[column], _one_of(1, _MEMORY_FILE_FLAGS))
    for numbers, place in _MESSAGES:
        program += _if_number(numbers[column], _one_of(place, _MESSAGE_FLAGS))
    for numbers, place in _OPENS:
        if numbers[column] >= 0:
            program += _if_number(numbers[column], _open_flags(place, writes=writes))
    program.append((_RETURN, 0, 0, _ERRNO | errno.ENOSYS))
    return program


def _if_number(number: int, block: list[_Instruction]) -> list[_Instruction]:
    """Return a block that is skipped unless the call has a number."""
    return [(_EQUAL, 0, len(block), number), *block]


def _one_of(place: int, values: tuple[int, ...]) -> list[_Instruction]:
    """Return a block that allows the call if an argument is one of some values."""
    # The arguments are of type int: the kernel takes no notice of their upper halves.
    block: list[_Instruction] = [(_LOAD, 0, 0, _ARGUMENTS + 8 * place)]
    for value in values:
        block += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [*block, (_RETURN, 0, 0, _ERRNO | errno.EPERM)]


def _open_flags(place: int, *, writes: bool) -> list[_Instruction]:
    """Return a block that allows opening for reading alone, or for writing, too."""
    flags = (_LOAD, 0, 0, _ARGUMENTS + 8 * place)
    refused = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    allowed = (_RETURN, 0, 0, _ALLOW)
    # Before Landlock's ABI 3 O_RDONLY | O_TRUNC empties every file that the user may write to.
    truncates_unopened = os.O_ACCMODE | os.O_TRUNC
    if not writes:
        mask = (_AND, 0, 0, truncates_unopened | os.O_CREAT)
        return [flags, mask, (_EQUAL, 0, 1, os.O_RDONLY), allowed, refused]
    # Without a file to create the C library passes 0 as its mode.
    return [
        flags,
        (_AND, 0, 0, truncates_unopened),
        (_EQUAL, 0, 1, os.O_TRUNC),
        refused,
        (_LOAD, 0, 0, _ARGUMENTS + 8 * (place + 1)),
        (_AND, 0, 0, _FORBIDDEN_MODE),
        (_EQUAL, 0, 1, 0),
        allowed,
        refused,
    ]

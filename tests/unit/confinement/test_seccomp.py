"""Filters of system calls: what is allowed, on either architecture, by an interpreter of them."""

from __future__ import annotations

import errno
import os
import platform
import socket
import subprocess
import sys
from typing import Final

import pytest

from dsk.confinement import seccomp

ALLOWED: Final = "allowed"
KILLED: Final = "killed"
OWN: Final = 1234
READ: Final = {"x86_64": 0, "aarch64": 63}
SOCKET: Final = {"x86_64": 41, "aarch64": 198}
EXECVE: Final = {"x86_64": 59, "aarch64": 221}
CLONE: Final = {"x86_64": 56, "aarch64": 220}
PTRACE: Final = {"x86_64": 101, "aarch64": 117}
OPENAT: Final = {"x86_64": 257, "aarch64": 56}
SENDTO: Final = {"x86_64": 44, "aarch64": 206}
RECVFROM: Final = {"x86_64": 45, "aarch64": 207}
SENDMSG: Final = {"x86_64": 46, "aarch64": 211}
RECVMSG: Final = {"x86_64": 47, "aarch64": 212}
MEMFD_CREATE: Final = {"x86_64": 319, "aarch64": 279}
UMASK: Final = {"x86_64": 95, "aarch64": 166}
RENAMEAT: Final = {"x86_64": 264, "aarch64": 38}
TGKILL: Final = {"x86_64": 234, "aarch64": 131}
IOCTL: Final = {"x86_64": 16, "aarch64": 29}
MACHINES: Final = sorted(READ)


def verdict(
    machine: str, number: int, *arguments: int, writes: bool = False, audit: int | None = None
) -> str:
    """Run the filter as the kernel would, and name what it returns."""
    architecture = seccomp._ARCHITECTURES[machine]
    program = seccomp._instructions(architecture, process=OWN, writes=writes)
    data = {0: number, 4: architecture.audit if audit is None else audit}
    data |= {16 + 8 * place: value for place, value in enumerate([*arguments, 0, 0, 0])}
    accumulator = position = 0
    while True:
        code, if_true, if_false, constant = program[position]
        position += 1
        if code == seccomp._LOAD:
            accumulator = data[constant] & 0xFFFFFFFF
        elif code == seccomp._AND:
            accumulator &= constant
        elif code == seccomp._EQUAL:
            position += if_true if accumulator == constant else if_false
        elif code == seccomp._AT_LEAST:
            position += if_true if accumulator >= constant else if_false
        else:
            assert code == seccomp._RETURN
            if constant == seccomp._ALLOW:
                return ALLOWED
            if constant == seccomp._KILL:
                return KILLED
            return errno.errorcode[constant & 0xFFFF]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("writes", [False, True])
def test_reading_is_allowed_and_the_rest_of_the_kernel_is_not_there(
    machine: str, writes: bool
) -> None:
    assert verdict(machine, READ[machine], writes=writes) == ALLOWED
    for call in (SOCKET, EXECVE, CLONE, PTRACE):
        assert verdict(machine, call[machine], writes=writes) == "ENOSYS"
    # io_uring_setup, clone3, and what later kernels may add
    for number in (425, 435, *range(440, 1000)):
        assert verdict(machine, number, writes=writes) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_a_writer_has_no_files_in_memory(machine: str) -> None:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    assert verdict(machine, MEMFD_CREATE[machine], 0, flags) == ALLOWED
    assert verdict(machine, MEMFD_CREATE[machine], 0, flags | os.MFD_HUGETLB) == "EPERM"
    assert verdict(machine, MEMFD_CREATE[machine], 0, flags, writes=True) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("writes", [False, True])
def test_messages_have_no_odd_flags(machine: str, writes: bool) -> None:
    for number, place in ((SENDTO, 3), (RECVFROM, 3), (SENDMSG, 2), (RECVMSG, 2)):
        before = [0] * place
        for flags in (0, socket.MSG_NOSIGNAL, socket.MSG_CMSG_CLOEXEC):
            assert verdict(machine, number[machine], *before, flags, writes=writes) == ALLOWED
        for flags in (socket.MSG_OOB, socket.MSG_PEEK, 0x40000):
            assert verdict(machine, number[machine], *before, flags, writes=writes) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
def test_only_a_writer_may_change_names(machine: str) -> None:
    assert verdict(machine, RENAMEAT[machine]) == "ENOSYS"
    assert verdict(machine, RENAMEAT[machine], writes=True) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("flags", "reader", "writer"),
    [
        (os.O_RDONLY | os.O_CLOEXEC, ALLOWED, ALLOWED),
        (os.O_WRONLY, "EPERM", ALLOWED),
        (os.O_RDWR | os.O_CREAT | os.O_EXCL, "EPERM", ALLOWED),
        (os.O_RDONLY | os.O_CREAT, "EPERM", ALLOWED),
        (os.O_WRONLY | os.O_TRUNC, "EPERM", ALLOWED),
        (os.O_RDONLY | os.O_TRUNC, "EPERM", "EPERM"),  # it empties files on older kernels
    ],
)
def test_flags_decide_about_opening(machine: str, flags: int, reader: str, writer: str) -> None:
    number = OPENAT[machine]
    assert verdict(machine, number, -100, 0, flags) == reader
    assert verdict(machine, number, -100, 0, flags, writes=True) == writer


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("mode", "end"),
    [
        (0o666, ALLOWED),
        (0o600, ALLOWED),
        (0, ALLOWED),
        (0o755, "EPERM"),
        (0o4666, "EPERM"),
        (0o2666, "EPERM"),
    ],
)
def test_a_new_file_is_no_program(machine: str, mode: int, end: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT
    assert verdict(machine, OPENAT[machine], -100, 0, flags, mode, writes=True) == end
    assert verdict(machine, UMASK[machine], 0, writes=True) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_a_process_may_signal_itself_alone(machine: str) -> None:
    assert verdict(machine, TGKILL[machine], OWN) == ALLOWED
    for other in (1, 0, -1, OWN + 1):
        assert verdict(machine, TGKILL[machine], other) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
def test_terminals_are_not_typed_into(machine: str) -> None:
    assert verdict(machine, IOCTL[machine], 0, 0x5401) == ALLOWED
    assert verdict(machine, IOCTL[machine], 0, 0x5412) == "EPERM"
    # The kernel takes no notice of the upper half of the register.
    assert verdict(machine, IOCTL[machine], 0, 0x1_0000_5412) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
def test_the_tables_of_other_architectures_are_closed(machine: str) -> None:
    assert verdict(machine, READ[machine], audit=0x40000003) == KILLED  # 32-bit x86
    assert verdict(machine, 0x40000000 + READ[machine]) == "ENOSYS"  # x32


@pytest.mark.parametrize("machine", MACHINES)
def test_a_filter_is_as_short_as_the_kernel_takes(machine: str) -> None:
    program = seccomp._instructions(seccomp._ARCHITECTURES[machine], process=OWN, writes=True)
    assert len(program) < 4096
    assert all(0 <= jump < 256 for _, *jumps, _ in program for jump in jumps)


def test_a_number_stands_for_one_call() -> None:
    for column in (1, 2):
        lines = f"{seccomp._FOR_READING};{seccomp._FOR_WRITING}".split(";")
        numbers = [int(line.split()[column]) for line in lines]
        used = [number for number in numbers if number >= 0]
        assert len(used) == len(set(used))


@pytest.mark.parametrize("refusal", [0, errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_this_kernel_applies_it(refusal: int) -> None:
    """An older kernel, or some container, knows no flag or no call of that name."""
    assert seccomp.is_offered()
    program = (
        "import os, socket\n"
        "from dsk.confinement import privileges, seccomp\n"
        "def refuse(*arguments):\n"
        f"    raise OSError({refusal}, 'pretended')\n"
        f"seccomp.system_call = refuse if {refusal} else seccomp.system_call\n"
        "privileges.forbid_new_privileges()\n"
        "assert seccomp.restrict(writes=False)\n"
        "try:\n"
        "    socket.socket()\n"
        "except OSError as error:\n"
        "    os.write(1, str(error.errno).encode())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == str(errno.ENOSYS).encode()


def test_other_architectures_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.is_offered()
    assert not seccomp.restrict(writes=False)

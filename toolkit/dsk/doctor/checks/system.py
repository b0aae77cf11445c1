"""Checks of the operating system: its kind, what is around it, its libraries, its sandbox."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, blocked_by, dotted
from dsk.doctor.fixes import newer_libraries

if TYPE_CHECKING:
    from dsk.host.facts import System

GROUP: Final = CheckGroup(position=10)
# Each reason for which there is no Landlock, and a command that shows it.
_NO_LANDLOCK: Final = {
    errno.ENOSYS: ("the kernel has none: Linux 5.13 and later can have it", "uname -r"),
    errno.EOPNOTSUPP: (
        "the kernel has it and was started without: add landlock to its lsm= parameter",
        "cat /sys/kernel/security/lsm",
    ),
    errno.EPERM: (
        "something forbids it, such as the seccomp profile of a container engine before 2022",
        "grep Seccomp /proc/self/status",
    ),
}


@GROUP.check("system", "Operating system", needs=("system",))
def kind(context: CheckContext) -> Verdict:
    """Check that the stack's locked wheels are for this system and architecture."""
    system = context.facts.system
    assert system
    wanted = f"Linux {context.stack.arch}"
    summary = f"{system.name}, {system.machine}"
    if f"{system.kind} {system.machine}" == wanted:
        return Verdict(status="ok", summary=summary)
    detail = f"stack {context.stack.id} is locked for {wanted}: run it on such a machine"
    return Verdict(
        status="error", summary=summary, details=(detail,), commands=("dsk matrix list",)
    )


@GROUP.check("surroundings", "WSL or container", needs=("system",))
def surroundings(context: CheckContext) -> Verdict:
    """Check that neither WSL nor a container keeps this Linux from the GPU."""
    system = context.facts.system
    assert system
    summary = _layers_below(system)
    # WSL 1 translates system calls and has no GPU; WSL 2 is a virtual machine with one.
    if system.wsl != 1 or context.stack.gpu is None:
        return Verdict(status="ok", summary=summary)
    return Verdict(
        status="error",
        summary=summary,
        details=(
            "WSL 1 cannot use an NVIDIA GPU; WSL 2 can. Run this in a Windows terminal, with the",
            "name that wsl --list shows in place of Ubuntu:",
        ),
        commands=("wsl.exe --set-version Ubuntu 2",),
    )


def _layers_below(system: System) -> str:
    windows = f"WSL {system.wsl}, Linux inside Windows" if system.wsl else ""
    container = f"in a container ({system.container})" if system.container else ""
    return ", ".join(part for part in (windows, container) if part) or "none, bare Linux"


@GROUP.check("libraries", "C libraries", needs=("libraries",))
def libraries(context: CheckContext) -> Verdict:
    """Check that glibc and libstdc++ have the symbols that the stack's wheels are linked with."""
    found, minimums, system = context.facts.libraries, context.stack.host, context.facts.system
    assert found
    if system and system.kind != "Linux":
        return blocked_by("Operating system")
    stdcxx = f"GLIBCXX_{dotted(found.glibcxx)}" if found.glibcxx else "no libstdc++"
    summary = f"glibc {dotted(found.glibc)}, {stdcxx}"
    missing = []
    if found.glibc < minimums.glibc:
        missing.append(f"glibc {dotted(minimums.glibc)}")
    if minimums.glibcxx and found.glibcxx < minimums.glibcxx:
        missing.append(f"GLIBCXX_{dotted(minimums.glibcxx)}")
    if not missing:
        return Verdict(status="ok", summary=summary)
    detail = f"stack {context.stack.id} needs {' and '.join(missing)} or newer"
    fix = newer_libraries(context.stack.id)
    return Verdict(
        status="error", summary=summary, details=(detail, *fix.details), commands=fix.commands
    )


@GROUP.check("confinement", "Sandbox", needs=("confinement",))
def confinement(context: CheckContext) -> Verdict:
    """Check that the kernel confines the processes that open documents."""
    found, system = context.facts.confinement, context.facts.system
    assert found
    if system and system.kind != "Linux":
        return blocked_by("Operating system")
    if found.landlock and found.seccomp:
        return Verdict(status="ok", summary=f"Landlock (ABI {found.landlock}) and seccomp")
    details, commands = [], []
    if not found.landlock:
        details.append(
            "without Landlock a malicious document can read files of yours, such as keys,"
        )
        details.append("and change them while its outputs are written, except with --to md,json;")
        reason, command = _NO_LANDLOCK.get(found.landlock_error, _NO_LANDLOCK[errno.ENOSYS])
        details.append(reason)
        commands.append(command)
    if not found.seccomp:
        details.append("without seccomp it can start programs and connect to other machines;")
        details.append("the kernel or the architecture has no filters: read files you trust only")
        commands.append("grep SECCOMP /boot/config-$(uname -r)")
    summary = "Landlock alone" if found.landlock else "seccomp alone" if found.seccomp else "none"
    return Verdict(
        status="warning",
        summary=summary,
        details=tuple(details),
        commands=tuple(commands),
    )

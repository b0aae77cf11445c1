"""Shell commands that fix a host, written for the host they are pasted into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dsk.host.facts import System

# Debian 12 and its successor, whose libstdc++6 brings GLIBCXX_3.4.33 and glibc 2.41.
_OLD: Final = "bookworm"
_NEW: Final = "trixie"


def as_root(command: str, system: System | None) -> str:
    """Return a command with ``sudo`` before it, unless the user is root already."""
    return command if system and system.root else f"sudo {command}"


def newer_libraries(system: System | None) -> tuple[str, tuple[str, ...]]:
    """Return a way to a newer glibc and libstdc++: one line about it, and its commands."""
    if system is None or not _is_old_debian(system):
        method = "a newer release of the system has them; the other stacks do not need them"
        return method, ("dsk doctor --stack cpu",)
    method = f"Debian {_NEW}'s libstdc++6 and libc6 install beside the rest; nothing else changes"
    return method, _from_successor("libstdc++6", system)


def install(packages: str, system: System | None) -> tuple[str, ...]:
    """Return the commands that install apt packages."""
    if system and _is_old_debian(system):
        return _from_successor(packages, system)
    if system and system.distribution not in ("debian", "ubuntu"):
        return ("docker version",)  # package names differ; it says what is missing
    return (as_root(f"apt-get install -y {packages}", system),)


def install_driver(system: System | None) -> tuple[str, ...]:
    """Return the commands that install or renew the NVIDIA driver, a restart included."""
    command = _DRIVERS.get(system.distribution if system else "", "")
    if not command:
        # Each distribution has its own way: all we can do is to show the present state.
        return ("nvidia-smi",)
    return (as_root(command, system), as_root("reboot", system))


_DRIVERS: Final = {
    "ubuntu": "ubuntu-drivers install",
    "debian": "apt-get install -y nvidia-driver",  # from the component non-free
    "fedora": "dnf install -y akmod-nvidia",  # from RPM Fusion
    "arch": "pacman -S --needed nvidia",
}


def _is_old_debian(system: System) -> bool:
    return system.codename == _OLD and bool(system.apt_source)


def _from_successor(packages: str, system: System) -> tuple[str, ...]:
    """Return commands that install packages of Debian's next release, and nothing else of it."""
    # A copy of the machine's own apt source with the next suite works with any mirror. The low
    # priority keeps every other package at its present release.
    source = system.apt_source
    copy = f"/etc/apt/sources.list.d/{_NEW}{'.sources' if source.endswith('.sources') else '.list'}"
    pin = rf"Package: *\nPin: release n={_NEW}*\nPin-Priority: 100\n"
    return (
        f"sed s/{_OLD}/{_NEW}/g {source} | {as_root(f'tee {copy}', system)}",
        f"printf '{pin}' | {as_root(f'tee /etc/apt/preferences.d/{_NEW}', system)}",
        as_root("apt-get update", system),
        as_root(f"apt-get install -y -t {_NEW} {packages}", system),
    )

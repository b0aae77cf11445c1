"""Commands that mend a host, made for the host they are pasted into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dsk.host.facts import System

# Debian 12 and its successor, whose libstdc++6 brings GLIBCXX_3.4.33 and glibc 2.41.
_OLD: Final = "bookworm"
_NEW: Final = "trixie"


def as_root(command: str, system: System | None) -> str:
    """A command with ``sudo``, unless we are root already."""
    return command if system and system.root else f"sudo {command}"


def newer_libraries(system: System | None) -> tuple[str, tuple[str, ...]]:
    """How to come by a newer glibc and libstdc++: what is done, and the commands.

    On Debian 12 its successor's libraries install beside everything else: a copy of the machine's
    own apt source with the next suite, at a priority that keeps every other package as it is.
    """
    if system is None or not _is_old_debian(system):
        how = "a newer release of the system has them; the other stacks do not need them"
        return how, ("dsk doctor --stack cpu",)
    how = f"Debian {_NEW}'s libstdc++6 and libc6 install beside the rest; nothing else changes"
    return how, _from_the_successor("libstdc++6", system)


def install(packages: str, system: System | None) -> tuple[str, ...]:
    """How to install packages that Debian 12 has only in its successor, and Ubuntu has itself."""
    if system and _is_old_debian(system):
        return _from_the_successor(packages, system)
    if system and system.distribution not in ("debian", "ubuntu"):
        return ("docker version",)  # names differ; it says what is missing
    return (as_root(f"apt-get install -y {packages}", system),)


def driver_of(system: System | None) -> tuple[str, ...]:
    """How to install or renew the NVIDIA driver; the card's machine is restarted after it."""
    command = _DRIVERS.get(system.distribution if system else "", "")
    if not command:
        return ("nvidia-smi",)  # what is there; the distribution's own manual says the rest
    return (as_root(command, system), as_root("reboot", system))


_DRIVERS: Final = {
    "ubuntu": "ubuntu-drivers install",
    "debian": "apt-get install -y nvidia-driver",  # from the component non-free
    "fedora": "dnf install -y akmod-nvidia",  # from RPM Fusion
    "arch": "pacman -S --needed nvidia",
}


def _is_old_debian(system: System) -> bool:
    return system.codename == _OLD and bool(system.apt_source)


def _from_the_successor(packages: str, system: System) -> tuple[str, ...]:
    source = system.apt_source
    copy = f"/etc/apt/sources.list.d/{_NEW}{'.sources' if source.endswith('.sources') else '.list'}"
    pin = rf"Package: *\nPin: release n={_NEW}*\nPin-Priority: 100\n"
    return (
        f"sed s/{_OLD}/{_NEW}/g {source} | {as_root(f'tee {copy}', system)}",
        f"printf '{pin}' | {as_root(f'tee /etc/apt/preferences.d/{_NEW}', system)}",
        as_root("apt-get update", system),
        as_root(f"apt-get install -y -t {_NEW} {packages}", system),
    )

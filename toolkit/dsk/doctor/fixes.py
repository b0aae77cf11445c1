"""Fixes of a host, written for the host that they are pasted into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dsk.host.facts import Docker, System


@dataclass(frozen=True, kw_only=True)
class Fix:
    """A way to fix a host.

    Args:
        details: lines about it.
        commands: shell commands, in order.
    """

    details: tuple[str, ...] = ()
    commands: tuple[str, ...]


def as_root(command: str, system: System | None) -> str:
    """Return a command with ``sudo`` before it, unless the user is root already."""
    return command if system and system.root else f"sudo {command}"


def newer_libraries(stack: str) -> Fix:
    """Return the fix for a glibc or libstdc++ that is too old for a stack."""
    # The libraries of two releases of a system are not to be mixed for this.
    details = (
        "a newer release of the system has them, and so has the stack's image: build it, and give",
        "dsk run --runtime container. The other stacks do not need them: dsk doctor --stack cpu",
    )
    return Fix(details=details, commands=(f"dsk build --stack {stack}",))


def install_docker(system: System | None, plugin: str = "docker-buildx-plugin") -> Fix:
    """Return the fix for a missing container engine or a missing plugin of it, by its package."""
    if system and system.wsl:
        details = (
            "Docker Desktop, in its settings under Resources, WSL integration, brings it into this",
            "Linux; or install Docker's packages here as docs.docker.com/engine/install describes",
        )
        return Fix(details=details, commands=("docker version",))
    distribution = system.distribution if system else ""
    if distribution in _DOCKER_PAGES:
        page = f"docs.docker.com/engine/install/{distribution}"
        details = (
            f"Docker has packages: add their source as {page} describes,",
            "then install them; they replace the distribution's docker.io",
        )
        command = f"{_DOCKER_PAGES[distribution]} install docker-ce {plugin}"
        return Fix(details=details, commands=(as_root(command, system),))
    detail = "how, is different for each system: docs.docker.com/engine/install has a list"
    return Fix(details=(detail,), commands=("docker version",))


def start_docker(docker: Docker, system: System | None, verb: str) -> Fix:
    """Return the fix that starts the container engine, or ``restart``s it."""
    if docker.desktop or (system and system.wsl):
        detail = f"{verb} Docker Desktop, if this is its engine; else:"
        return Fix(details=(detail,), commands=(as_root(f"service docker {verb}", system),))
    return Fix(commands=(as_root(f"systemctl {verb} docker", system),))


def newer_driver(system: System | None) -> Fix:
    """Return the fix for an NVIDIA driver that is too old or not whole.

    It is never to install a driver inside WSL or a container: theirs is Windows' or the host's.
    """
    if system and system.wsl:
        details = (
            "this Linux uses the driver of Windows: install NVIDIA's newest driver in Windows and",
            "none in here; then restart Linux from a Windows terminal:",
        )
        return Fix(details=details, commands=("wsl.exe --shutdown",))
    if system and system.container:
        details = (
            "a container uses its host's driver: install a newer one on the host and none in here,",
            "then start the container again. On the host, this shows the driver:",
        )
        return Fix(details=details, commands=("nvidia-smi",))
    command = _DRIVERS.get(system.distribution if system else "", "")
    if not command:
        # Each distribution has its own way: all we can do is to show the present state.
        detail = "install a newer driver from the source of the present one, then restart"
        return Fix(details=(detail,), commands=("nvidia-smi",))
    return Fix(commands=(as_root(command, system), as_root("reboot", system)))


def restart(system: System | None) -> Fix:
    """Return the fix that starts the machine again: the host, for a container or WSL."""
    if system and system.wsl:
        detail = "restart Windows; this restarts the Linux alone:"
        return Fix(details=(detail,), commands=("wsl.exe --shutdown",))
    if system and system.container:
        detail = "it is the container's host that is to be restarted; there:"
        return Fix(details=(detail,), commands=("sudo reboot",))
    return Fix(commands=(as_root("reboot", system),))


def set_clock(system: System | None) -> Fix:
    """Return the fix for a clock that is wrong."""
    if system and system.wsl:
        detail = "this Linux has the clock of Windows, and may lag behind it after a sleep:"
        return Fix(details=(detail,), commands=(as_root("hwclock -s", system),))
    if system and system.container:
        detail = "a container has its host's clock: set it there"
        return Fix(details=(detail,), commands=("sudo timedatectl set-ntp true",))
    return Fix(commands=(as_root("timedatectl set-ntp true", system),))


def kernel_log(system: System | None) -> Fix:
    """Return the command that shows what the kernel says of the GPUs."""
    command = as_root("dmesg | grep -iE 'NVRM|Xid' | tail", system)
    # A container may not read the kernel's log.
    where = ("on the container's host:",) if system and system.container else ()
    return Fix(details=where, commands=(command,))


# Distributions that Docker has packages for, and the program that installs them.
_DOCKER_PAGES: Final = {
    "debian": "apt-get -y",
    "ubuntu": "apt-get -y",
    "fedora": "dnf -y",
    "rhel": "dnf -y",
    "centos": "dnf -y",
}

_DRIVERS: Final = {
    "ubuntu": "ubuntu-drivers install",
    "debian": "apt-get install -y nvidia-driver",  # from the component non-free
    "fedora": "dnf install -y akmod-nvidia",  # from RPM Fusion
    "arch": "pacman -S --needed nvidia",
}

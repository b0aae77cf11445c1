"""Why the NVIDIA driver does not answer, from what is visible without it, and how to fix that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.doctor.check import as_driver
from dsk.doctor.fixes import as_root, newer_driver

if TYPE_CHECKING:
    from dsk.host.facts import Nvidia, System

# NVML's error numbers, nvml.h.
_NO_PERMISSION: Final = 4
_LIBRARY_NOT_FOUND: Final = 12
_MISMATCH: Final = 18
_HUNG: Final = (10, 11, 15, 16)  # timeout, interrupt lost, GPU is lost, reset required
_UNKNOWN: Final = 999
# How a container is started with the GPUs, and a command for its host that shows whether it can be.
_WITH_GPUS: Final = {
    "docker": (
        (
            "start it again with --gpus all; in a compose file the service needs the devices under",
            "deploy: resources: reservations:, as dsk's docker-compose.yml has them. On the host,",
            "this shows whether containers can get them:",
        ),
        "docker run --rm --gpus all ubuntu nvidia-smi",
    ),
    "podman": (
        (
            "start it again with --device nvidia.com/gpu=all, which NVIDIA's container toolkit",
            "brings. On the host, this shows the devices that Podman knows:",
        ),
        "nvidia-ctk cdi list",
    ),
    "kubernetes": (
        (
            "the pod has to ask for one: resources: limits: nvidia.com/gpu: 1, on a cluster with",
            "NVIDIA's device plugin. This shows which nodes have GPUs:",
        ),
        "kubectl describe nodes | grep nvidia.com/gpu",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A verdict about the driver, without its status."""

    summary: str
    details: tuple[str, ...]
    commands: tuple[str, ...]


def of(nvidia: Nvidia, system: System | None, *, stack: str) -> Advice:
    """Return the advice for a driver that does not answer."""
    # First these two: their kernel is another machine's, and to install a driver or load a module
    # inside them does not help.
    if system and system.wsl:
        return _in_wsl(nvidia)
    if system and system.container:
        return _in_container(nvidia, system)
    if nvidia.module:
        return _loaded(nvidia, system)
    if nvidia.on_bus:
        return _not_loaded(nvidia, system)
    return Advice(
        summary="none, and no NVIDIA GPU on the bus",
        details=(f"stack {stack} needs an NVIDIA GPU; without one, check the stack for the CPU",),
        commands=("dsk doctor --stack cpu",),
    )


def _in_wsl(nvidia: Nvidia) -> Advice:
    if not nvidia.device_files:
        details = (
            "if there is an NVIDIA GPU: Windows provides it through /dev/dxg, which is missing.",
            "NVIDIA's driver in Windows, or WSL itself, is too old: install the driver in Windows,",
            "none inside Linux, then, in a Windows terminal:",
        )
        return Advice(
            summary="Windows provides no GPU to this Linux",
            details=details,
            commands=("wsl.exe --update", "wsl.exe --shutdown"),
        )
    details = (
        f"NVML says: {nvidia.problem}",
        "if there is an NVIDIA GPU: restart Linux from a Windows terminal; if that does not help,",
        "install NVIDIA's newest driver in Windows, none inside Linux",
    )
    return Advice(
        summary="does not answer through Windows",
        details=details,
        commands=("wsl.exe --shutdown",),
    )


def _in_container(nvidia: Nvidia, system: System) -> Advice:
    if not nvidia.module and not nvidia.on_bus:
        seen = ["neither the container nor its host shows an NVIDIA GPU"]
        command = "dsk doctor --stack cpu"
        if system.image:
            seen += [
                f"this is an image of stack {system.image}, which needs one; that of stack cpu",
                "needs none. On a machine without a GPU, this builds it:",
            ]
            command = "dsk build --stack cpu"
        return Advice(
            summary="none, and no NVIDIA GPU on the bus",
            details=tuple(seen),
            commands=(command,),
        )
    reasons = {
        _LIBRARY_NOT_FOUND: "it was started without the GPUs",
        _MISMATCH: "the host's driver was updated after the container started",
        # A daemon-reload makes systemd rewrite the cgroup's list of devices, without the GPUs.
        _UNKNOWN: "it lost them while running, as systemctl daemon-reload causes",
    }
    reason = reasons.get(nvidia.error, "they, or the rights to them, are missing in it")
    again, command = _WITH_GPUS.get(system.container, _WITH_GPUS["docker"])
    details = (
        f"NVML says: {nvidia.problem}",
        f"this container does not reach the GPUs: {reason}",
        *again,
    )
    return Advice(summary="not in this container", details=details, commands=(command,))


def _loaded(nvidia: Nvidia, system: System | None) -> Advice:
    module = f"the kernel module {as_driver(nvidia.module)} is loaded"
    summary = "loaded, but it does not answer"
    reboot = as_root("reboot", system)
    if nvidia.error == _MISMATCH:
        cause = "the driver was updated: its library is newer than the module that still runs"
        return Advice(summary=summary, details=(module, cause), commands=(reboot,))
    if nvidia.error == _NO_PERMISSION:
        cause = "this user has no access to /dev/nvidia*; run the command, then log in again"
        commands = (as_root('usermod -aG video,render "$USER"', system),)
        return Advice(summary=summary, details=(module, cause), commands=commands)
    if nvidia.error == _LIBRARY_NOT_FOUND:
        cause = "its library, libnvidia-ml.so.1, is missing: reinstall the whole driver"
        fix = newer_driver(system)
        return Advice(summary=summary, details=(module, cause, *fix.details), commands=fix.commands)
    cause = "after an update or a fault of the GPU a restart of the machine helps"
    if nvidia.error in _HUNG:
        cause = "the GPU hangs: the kernel's log says why; a restart of the machine frees it"
    log = as_root("dmesg | grep -iE 'NVRM|Xid' | tail", system)
    details = (f"NVML says: {nvidia.problem}", module, cause)
    return Advice(summary=summary, details=details, commands=(log, reboot))


def _not_loaded(nvidia: Nvidia, system: System | None) -> Advice:
    if nvidia.error == _LIBRARY_NOT_FOUND:
        detail = "its library, libnvidia-ml.so.1, is missing too: no driver is installed"
        fix = newer_driver(system)
        return Advice(
            summary=f"not installed; NVIDIA GPUs on the bus: {nvidia.on_bus}",
            details=(detail, *fix.details),
            commands=fix.commands,
        )
    details = (
        f"NVML says: {nvidia.problem}",
        "if modprobe says 'Key was rejected', Secure Boot refuses the driver: sign it, or switch",
        "Secure Boot off in the BIOS; if it says 'not found', the new kernel lacks the module",
    )
    return Advice(
        summary=f"not loaded; NVIDIA GPUs on the bus: {nvidia.on_bus}",
        details=details,
        commands=(as_root("modprobe nvidia", system), "nvidia-smi"),
    )

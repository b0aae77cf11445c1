"""Why the NVIDIA driver does not answer, by what is seen without it, and what brings it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.doctor.check import as_driver
from dsk.doctor.fixes import as_root, driver_of

if TYPE_CHECKING:
    from dsk.host.facts import Nvidia, System

# NVML's error numbers, nvml.h.
_NO_PERMISSION: Final = 4
_LIBRARY_NOT_FOUND: Final = 12
_MISMATCH: Final = 18
_HUNG: Final = (10, 11, 15, 16)  # timeout, interrupt lost, GPU is lost, reset required
_UNKNOWN: Final = 999
_AGAIN: Final = "docker run --rm --gpus all ubuntu nvidia-smi"


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A finding about the driver, less its status."""

    summary: str
    details: tuple[str, ...]
    commands: tuple[str, ...]


def of(seen: Nvidia, system: System | None, *, stack: str) -> Advice:
    """The advice for a driver that does not answer."""
    if system and system.wsl:
        return _under_windows(seen)
    if system and system.container:
        return _in_a_container(seen)
    if seen.module:
        return _loaded(seen, system)
    if seen.on_bus:
        return _not_loaded(seen, system)
    return Advice(
        summary="none, and no NVIDIA card on the bus",
        details=(f"stack {stack} needs an NVIDIA card; without one, ask about the CPU's stack",),
        commands=("dsk doctor --stack cpu",),
    )


def _under_windows(seen: Nvidia) -> Advice:
    if not seen.device_files:
        details = (
            "if there is an NVIDIA card: Windows lends it through /dev/dxg, which is not there.",
            "Windows' NVIDIA driver or WSL itself is too old: install NVIDIA's driver in Windows,",
            "none inside Linux, then, in a Windows terminal:",
        )
        return Advice(
            summary="Windows lends this Linux no card",
            details=details,
            commands=("wsl.exe --update", "wsl.exe --shutdown"),
        )
    details = (
        f"NVML says: {seen.problem}",
        "if there is an NVIDIA card: restart Linux from a Windows terminal; if it stays so,",
        "install NVIDIA's newest driver in Windows, none inside Linux",
    )
    return Advice(
        summary="does not answer through Windows",
        details=details,
        commands=("wsl.exe --shutdown",),
    )


def _in_a_container(seen: Nvidia) -> Advice:
    if not seen.module and not seen.on_bus:
        details: tuple[str, ...] = (
            "no NVIDIA card is on this machine's bus, in or out of the container",
        )
        commands = ("dsk doctor --stack cpu",)
        return Advice(
            summary="none, and no NVIDIA card on the bus", details=details, commands=commands
        )
    reasons = {
        _LIBRARY_NOT_FOUND: "it was started without the cards",
        _MISMATCH: "the machine's driver was updated after it was started",
        _UNKNOWN: "the cards were taken from it while it ran, as systemctl daemon-reload does",
    }
    reason = reasons.get(seen.error, "the cards or the rights to them are missing in it")
    details = (
        f"NVML says: {seen.problem}",
        f"this container does not reach the cards: {reason}",
        "start it anew with --gpus all; on the machine itself this shows whether containers can:",
    )
    return Advice(summary="not in this container", details=details, commands=(_AGAIN,))


def _loaded(seen: Nvidia, system: System | None) -> Advice:
    module = f"the kernel module {as_driver(seen.module)} is loaded"
    summary = "loaded, but it does not answer"
    reboot = as_root("reboot", system)
    if seen.error == _MISMATCH:
        why = "the driver was updated: its library is newer than the module that still runs"
        return Advice(summary=summary, details=(module, why), commands=(reboot,))
    if seen.error == _NO_PERMISSION:
        why = "this user may not open the card's files in /dev; log in anew after the command"
        commands = (as_root('usermod -aG video,render "$USER"', system),)
        return Advice(summary=summary, details=(module, why), commands=commands)
    if seen.error == _LIBRARY_NOT_FOUND:
        why = "its library, libnvidia-ml.so.1, is not installed: install the driver again, whole"
        return Advice(summary=summary, details=(module, why), commands=driver_of(system))
    why = "after an update or a fault of the card it answers once the machine has been restarted"
    if seen.error in _HUNG:
        why = "the card hangs: the kernel's log says why; a restart of the machine frees it"
    log = as_root("dmesg | grep -iE 'NVRM|Xid' | tail", system)
    details = (f"NVML says: {seen.problem}", module, why)
    return Advice(summary=summary, details=details, commands=(log, reboot))


def _not_loaded(seen: Nvidia, system: System | None) -> Advice:
    load = (as_root("modprobe nvidia", system), "nvidia-smi")
    if seen.error == _LIBRARY_NOT_FOUND:
        details: tuple[str, ...] = (
            "its library, libnvidia-ml.so.1, is not there either: no driver is installed",
        )
        summary = f"not installed; NVIDIA cards on the bus: {seen.on_bus}"
        return Advice(summary=summary, details=details, commands=driver_of(system))
    details = (
        f"NVML says: {seen.problem}",
        "if modprobe says 'Key was rejected', Secure Boot refuses the driver: sign it, or switch",
        "Secure Boot off in the machine's set-up; if 'not found', a new kernel lacks the module",
    )
    return Advice(
        summary=f"not loaded; NVIDIA cards on the bus: {seen.on_bus}",
        details=details,
        commands=load,
    )

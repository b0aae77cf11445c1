"""Probe of the NVIDIA driver and its GPUs, through sysfs, procfs and NVML."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from dsk import processes
from dsk.errors import EngineMissing
from dsk.host.facts import Nvidia, Release
from dsk.host.probes import undescribed
from dsk.host.probes.system import release_in

# Time limit for NVML, which needs seconds for several GPUs without a persistence daemon.
SECONDS: Final = 6.0
_TIMEOUT: Final = 10  # NVML_ERROR_TIMEOUT
_UNKNOWN: Final = 999  # NVML_ERROR_UNKNOWN
_VENDOR: Final = "0x10de"  # NVIDIA's number on the PCI bus
_DISPLAY: Final = "0x03"  # the PCI class of display controllers, 3D ones among them


def look(seconds: float = SECONDS) -> Nvidia:
    """Return what the PCI bus, the kernel module and NVML show.

    Raises:
        ValueError: NVML's answer is impossible.
    """
    return Nvidia.model_validate(
        {
            "on_bus": _on_bus(),
            "device_files": _device_files(),
            "module": _module(),
            **undescribed.complete(query_nvml(seconds)),
        }
    )


def query_nvml(seconds: float) -> dict[str, Any]:
    """Query NVML in another process; report its hang or crash as its problem."""
    command = [sys.executable, "-P", "-m", "dsk.host.nvml_client"]
    # NVML can hang in the kernel after a fault of the GPU, and threads cannot be killed.
    try:
        done = processes.capture(command, seconds=seconds)
    except EngineMissing:
        return {"problem": f"NVML gave no answer in {seconds:g} s", "error": _TIMEOUT}
    if done.code:
        last = (done.stderr.splitlines() or [""])[-1].strip()
        reason = last or f"it ended with status {done.code}"
        return {"problem": f"NVML crashed: {reason}"[:200], "error": _UNKNOWN}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _module() -> Release:
    """Return the loaded kernel module's release, from its line ``... Module  550.54.14  ...``."""
    # The open kernel module's line has "for x86_64" before the release.
    text = _read(Path("/proc/driver/nvidia/version"))
    return release_in(text.partition("Module")[2].replace("for x86_64", ""))


def _device_files() -> int:
    numbered = [file for file in Path("/dev").glob("nvidia*") if file.name[6:].isdigit()]
    return len(numbered) + Path("/dev/dxg").exists()


def _on_bus() -> int:
    devices = Path("/sys/bus/pci/devices").glob("*")
    return sum(
        _read(device / "vendor") == _VENDOR and _read(device / "class").startswith(_DISPLAY)
        for device in devices
    )


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""

"""The NVIDIA driver and its cards, through NVML, and what can be seen without it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

from dsk.doctor.facts import Card, Nvidia
from dsk.doctor.probes.host import release_in

_VENDOR: Final = "0x10de"  # NVIDIA's number on the PCI bus
_DISPLAY: Final = "0x03"  # the PCI class of display controllers, 3D ones among them


def look() -> Nvidia:
    """What the PCI bus, the kernel module and NVML say."""
    seen = Nvidia(on_bus=_on_bus(), module=_module())
    if not has_library():
        return seen.model_copy(update={"problem": "NVML Shared Library Not Found"})
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return seen.model_copy(update={"problem": str(error)})
    try:
        return _asked(seen)
    except pynvml.NVMLError as error:
        return seen.model_copy(update={"problem": str(error)})
    finally:
        pynvml.nvmlShutdown()


def has_library() -> bool:
    """Whether the driver's library is there: its binding takes 0.1 s to import, only to say no."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _asked(seen: Nvidia) -> Nvidia:
    import pynvml

    cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()  # 12040 for 12.4
    handles = [
        pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
    ]
    return Nvidia(
        on_bus=seen.on_bus,
        module=seen.module,
        driver=release_in(pynvml.nvmlSystemGetDriverVersion()),
        cuda=(cuda // 1000, cuda % 1000 // 10),
        cards=tuple(_card(handle) for handle in handles),
    )


def _card(handle: object) -> Card:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Card(
        name=pynvml.nvmlDeviceGetName(handle),
        compute_capability=pynvml.nvmlDeviceGetCudaComputeCapability(handle),
        memory_total=memory.total,
        memory_free=memory.free,
    )


def _module() -> tuple[int, ...]:
    """The loaded kernel module's release, from its line ``... Module  550.54.14  ...``."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text("utf-8")
    except OSError:
        return ()
    return release_in(text.partition("Module")[2].replace("for x86_64", ""))


def _on_bus() -> int:
    devices = Path("/sys/bus/pci/devices").glob("*")
    return sum(
        _read(device / "vendor") == _VENDOR and _read(device / "class").startswith(_DISPLAY)
        for device in devices
    )


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return ""

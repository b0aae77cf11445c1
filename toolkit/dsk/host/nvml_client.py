"""Asks NVML and the CUDA driver library, in a process of its own: either may hang or crash.

``python -m dsk.host.nvml_client`` prints one JSON object, of the fields that `facts.Nvidia` has.
Nothing else of dsk is imported here: it starts in a few hundredths of a second.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_LIBRARY: Final = 12  # NVML_ERROR_LIBRARY_NOT_FOUND


def ask() -> dict[str, Any]:
    """What NVML and libcuda say; NVML's own words and number in ``problem`` and ``error``.

    Raises:
        Exception: what is no NVML error is nobody's to expect.
    """
    found: dict[str, Any] = {"libcuda": libcuda()}
    if not has_library():
        return found | {"problem": "NVML Shared Library Not Found", "error": _NO_LIBRARY}
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return found | _refused(error)
    try:
        return found | _driver() | _cards()
    except pynvml.NVMLError as error:
        return found | _refused(error)
    finally:
        _optional(pynvml.nvmlShutdown)


def has_library() -> bool:
    """Whether the driver's library is there: its binding takes 0.1 s to import, only to say no."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def libcuda() -> dict[str, Any] | None:
    """The CUDA driver library that the loader finds. Asking its version starts nothing."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    answered = library.cuDriverGetVersion(ctypes.byref(version)) == 0
    mapped = Path("/proc/self/maps").read_text("utf-8").splitlines()
    file = next((line.split(maxsplit=5)[5] for line in mapped if "/libcuda.so" in line), "")
    return {
        "release": _release(Path(file).name.removeprefix("libcuda.so.")),
        "cuda": _cuda(version.value) if answered else (),
        "kind": kind_of(file),
    }


def kind_of(file: str) -> str:
    """What a libcuda is by where it lies: NVIDIA's own folders have these names."""
    for part, kind in (("/compat/", "compat"), ("/stubs/", "stub"), ("/wsl/", "wsl")):
        if part in file:
            return kind
    return "driver"


def _driver() -> dict[str, Any]:
    import pynvml

    return {
        "driver": _release(pynvml.nvmlSystemGetDriverVersion()),
        "cuda": _cuda(pynvml.nvmlSystemGetCudaDriverVersion_v2()),
    }


def _cards() -> dict[str, Any]:
    """Each card, or NVML's words for why there is no saying what it is."""
    import pynvml

    cards, lost = [], []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            cards.append(_card(pynvml.nvmlDeviceGetHandleByIndex(index)))
        except pynvml.NVMLError as error:
            lost.append(str(error))
    return {"cards": cards, "lost": lost}


def _card(handle: object) -> dict[str, Any]:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "name": pynvml.nvmlDeviceGetName(handle),
        "compute_capability": pynvml.nvmlDeviceGetCudaComputeCapability(handle),
        "memory_total": memory.total,
        "memory_free": memory.free,
        "holders": _holders(handle),
        "mig": _mig(handle),
        "ecc_errors": _optional(
            pynvml.nvmlDeviceGetTotalEccErrors,
            handle,
            pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
            pynvml.NVML_VOLATILE_ECC,
        ),
    }


def _holders(handle: object) -> list[dict[str, Any]]:
    import pynvml

    computing = _optional(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    drawing = _optional(pynvml.nvmlDeviceGetGraphicsRunningProcesses, handle) or []
    return [
        {
            "pid": one.pid,
            "program": _program(_optional(pynvml.nvmlSystemGetProcessName, one.pid)),
            "memory": one.usedGpuMemory,
        }
        for one in {one.pid: one for one in (*drawing, *computing)}.values()
    ]


def _program(line: str | None) -> str:
    """A program's file name, without its folder and arguments, which may name people."""
    words = (line or "").split()
    return Path(words[0]).name if words else "a program"


def _mig(handle: object) -> list[int] | None:
    import pynvml

    mode = _optional(pynvml.nvmlDeviceGetMigMode, handle)
    if not mode or not mode[0]:
        return None
    count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    instances = [
        _optional(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, n) for n in range(count)
    ]
    return [pynvml.nvmlDeviceGetMemoryInfo(one).total for one in instances if one]


def _optional(ask: Callable[..., Any], *arguments: object) -> Any:
    """An answer that not every card has; None where NVML has none."""
    import pynvml

    try:
        return ask(*arguments)
    except pynvml.NVMLError:
        return None


def _refused(error: Any) -> dict[str, Any]:
    return {"problem": str(error), "error": error.value}


def _cuda(number: int) -> tuple[int, int]:
    """``(12, 4)`` of 12040."""
    return number // 1000, number % 1000 // 10


def _release(text: str) -> tuple[int, ...]:
    """``(550, 54, 14)`` of ``550.54.14``; empty for a name that is no release, such as ``1``."""
    found = re.fullmatch(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in text.split(".")) if found and len(text) > 3 else ()


if __name__ == "__main__":
    json.dump(ask(), sys.stdout)

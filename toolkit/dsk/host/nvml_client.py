"""Client of NVML and the CUDA driver library, run in a process of its own: either may crash.

``python -m dsk.host.nvml_client`` prints one JSON object, with fields of `facts.Nvidia`.
"""

# Nothing else of dsk is imported here, so that the process starts in a few hundredths of a second.

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
# NVML's errors by which a GPU does not answer at all: timeout, interrupt lost, GPU is lost, reset
# required. Any other is about the one question.
_FAULTS: Final = (10, 11, 15, 16)


def query() -> dict[str, Any]:
    """Return what NVML and libcuda report; NVML's failure is in ``problem`` and ``error``."""
    answer: dict[str, Any] = {"libcuda": libcuda()}
    if not has_library():  # its binding takes 0.1 s to import, only to say the same
        return answer | {"problem": "NVML Shared Library Not Found", "error": _NO_LIBRARY}
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return answer | _failure(error)
    try:
        return answer | _driver() | _cards()
    except pynvml.NVMLError as error:
        return answer | _failure(error)
    finally:
        _optional(pynvml.nvmlShutdown)


def has_library() -> bool:
    """Return True if the loader finds the driver's library."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def libcuda() -> dict[str, Any] | None:
    """Return the CUDA driver library that the loader finds; None if it finds none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    # The one call that needs no cuInit, which would create a context on the GPU.
    answered = library.cuDriverGetVersion(ctypes.byref(version)) == 0
    mapped = Path("/proc/self/maps").read_text("utf-8").splitlines()
    file = next((line.split(maxsplit=5)[5] for line in mapped if "/libcuda.so" in line), "")
    return {
        "release": _release(Path(file).name.removeprefix("libcuda.so.")),
        "cuda": _cuda(version.value) if answered else (),
        "kind": kind_of(file),
    }


def kind_of(file: str) -> str:
    """Return the kind of a libcuda by its folder, whose name NVIDIA's packages fix."""
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
    """Return the GPUs, and NVML's message for each that it cannot describe."""
    import pynvml

    cards, lost = [], []
    for index in range(pynvml.nvmlDeviceGetCount()):
        # A GPU that fell off the bus is still counted, and raises; the others work.
        try:
            cards.append({"number": index, **_card(pynvml.nvmlDeviceGetHandleByIndex(index))})
        except pynvml.NVMLError as error:
            lost.append(str(error))
    return {"cards": cards, "lost": lost}


def _card(handle: object) -> dict[str, Any]:
    import pynvml

    mig = _mig(handle)
    return {
        "name": _unless_refused(pynvml.nvmlDeviceGetName, handle),
        "compute_capability": _unless_refused(pynvml.nvmlDeviceGetCudaComputeCapability, handle),
        **_memory(handle, own=mig is None),
        "holders": _holders(handle),
        "uuid": _optional(pynvml.nvmlDeviceGetUUID, handle) or "",
        "mig": None if mig is None else [memory.total for memory, _ in mig],
        "mig_free": [memory.free for memory, _ in mig or ()],
        "mig_uuids": [uuid for _, uuid in mig or ()],
        "ecc_errors": _optional(
            pynvml.nvmlDeviceGetTotalEccErrors,
            handle,
            pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
            pynvml.NVML_VOLATILE_ECC,
        ),
    }


def _memory(handle: object, *, own: bool) -> dict[str, Any]:
    """Return the memory of a GPU, None where NVML refuses to tell.

    Args:
        handle: the GPU's.
        own: whether the GPU is whole, so that nobody but the machine could be its memory's owner.
    """
    import pynvml

    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError as error:
        if error.value in _FAULTS:
            raise
        # So does NVML answer for a GPU without memory of its own, such as a GB10.
        unified = own and error.value == pynvml.NVML_ERROR_NOT_SUPPORTED
        return {"memory_total": None, "memory_free": None, "unified": unified}
    return {"memory_total": memory.total, "memory_free": memory.free}


def _holders(handle: object) -> list[dict[str, Any]]:
    import pynvml

    computing = _optional(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    drawing = _optional(pynvml.nvmlDeviceGetGraphicsRunningProcesses, handle) or []
    return [
        {
            "pid": process.pid,
            "program": _program(_optional(pynvml.nvmlSystemGetProcessName, process.pid)),
            "memory": process.usedGpuMemory,
        }
        # A process that draws and computes is in both lists.
        for process in {process.pid: process for process in (*drawing, *computing)}.values()
    ]


def _program(line: str | None) -> str:
    """Return a program's file name, without folder and arguments, which may name people."""
    words = (line or "").split()
    return Path(words[0]).name if words else "a program"


def _mig(handle: object) -> list[tuple[Any, str]] | None:
    """Return memory and UUID of each MIG instance that this process sees; None with MIG off."""
    import pynvml

    mode = _optional(pynvml.nvmlDeviceGetMigMode, handle)
    if not mode or not mode[0]:
        return None
    count = _optional(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    # An index without an instance raises, and so gives None.
    instances = [
        _optional(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, n) for n in range(count)
    ]
    described = [
        (
            _optional(pynvml.nvmlDeviceGetMemoryInfo, instance),
            _optional(pynvml.nvmlDeviceGetUUID, instance) or "",
        )
        for instance in instances
        if instance
    ]
    return [(memory, uuid) for memory, uuid in described if memory]


def _optional(function: Callable[..., Any], *arguments: object) -> Any:
    """Return NVML's answer to a question that not every GPU supports; None where it has none."""
    import pynvml

    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None


def _unless_refused(function: Callable[..., Any], *arguments: object) -> Any:
    """Return NVML's answer, None if it refuses; an error that is a fault of the GPU is raised."""
    import pynvml

    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        if error.value in _FAULTS:
            raise
        return None


def _failure(error: Any) -> dict[str, Any]:
    return {"problem": str(error), "error": error.value}


def _cuda(number: int) -> tuple[int, int]:
    """Return ``(12, 4)`` for 12040."""
    return number // 1000, number % 1000 // 10


def _release(text: str) -> tuple[int, ...]:
    """Return ``(550, 54, 14)`` for ``550.54.14``; empty for another suffix, such as ``1``."""
    match = re.fullmatch(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in text.split(".")) if match and len(text) > 3 else ()


if __name__ == "__main__":
    json.dump(query(), sys.stdout)

"""Checks of the CUDA that programs get from the driver, compared with the stack's CUDA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, as_driver
from dsk.doctor.checks.gpu import instead
from dsk.doctor.fixes import newer_driver

if TYPE_CHECKING:
    from dsk.host.facts import LibCuda, Release

GROUP: Final = CheckGroup(position=30)
# NVIDIA supports its forward compatibility package on data-centre GPUs only: names of the others.
_CONSUMER: Final = ("GeForce", "TITAN", "Quadro", "RTX", "GTX")
_CAPABILITIES: Final = "NVIDIA_DRIVER_CAPABILITIES=compute,utility"
_WITHOUT_COMPAT: Final = "unset LD_LIBRARY_PATH"


@GROUP.check("libcuda", "CUDA library", needs=("nvidia",), after=("driver", "gpu"))
def library(context: CheckContext) -> Verdict:
    """Check that the libcuda.so.1 which the loader finds is the driver's own."""
    nvidia, system = context.facts.nvidia, context.facts.system
    assert nvidia
    libcuda = nvidia.libcuda
    if libcuda is None:
        return _no_library(context)
    summary = f"libcuda {as_driver(libcuda.release)}" if libcuda.release else "libcuda"
    if libcuda.kind == "stub":
        detail = "it is the stub for linking programs: CUDA finds no GPU through it"
        return Verdict(
            status="error",
            summary=f"{summary}, a stub",
            details=(detail,),
            commands=('export LD_LIBRARY_PATH="${LD_LIBRARY_PATH//stubs/}"',),
        )
    if system and system.wsl and libcuda.kind != "wsl":
        details = (
            "a Linux driver was installed inside WSL and hides the one that Windows provides:",
            "remove it; no part of NVIDIA's driver may be installed in this Linux",
        )
        return Verdict(
            status="error",
            summary=f"{summary}, not the one of Windows",
            details=details,
            commands=("sudo apt-get purge -y '^nvidia-driver-.*' '^libnvidia-compute-.*'",),
        )
    if libcuda.kind == "compat":
        return _compat(context, libcuda, summary)
    return Verdict(status="ok", summary=f"{summary}, the driver's own")


def _no_library(context: CheckContext) -> Verdict:
    system = context.facts.system
    details: tuple[str, ...] = (
        "the driver answers, but programs find no libcuda.so.1 to compute with",
    )
    fix = newer_driver(system)
    commands = fix.commands
    if system and system.container:
        # Without the compute capability, NVIDIA's container toolkit mounts nvidia-smi alone.
        details += (
            "the container may query the GPUs but not compute on them: start it again with",
            f"-e {_CAPABILITIES}; run on the host, this shows that it works:",
        )
        commands = (f"docker run --rm --gpus all -e {_CAPABILITIES} ubuntu nvidia-smi",)
    elif system and system.wsl:
        details += ("Windows provides it in /usr/lib/wsl/lib: add that folder to the loader's",)
        commands = ("echo /usr/lib/wsl/lib | sudo tee /etc/ld.so.conf.d/wsl.conf", "sudo ldconfig")
    else:
        details += fix.details
    return Verdict(status="error", summary="no libcuda", details=details, commands=commands)


def _compat(context: CheckContext, libcuda: LibCuda, summary: str) -> Verdict:
    """Check a library of CUDA's forward compatibility package.

    The package puts a newer libcuda over an older driver, and works on data-centre GPUs only.
    """
    nvidia = context.facts.nvidia
    assert nvidia
    summary += ", of CUDA's compatibility package"
    if nvidia.driver >= libcuda.release:
        details = (
            f"it hides the driver's own, which is newer ({as_driver(nvidia.driver)}): CUDA then",
            "refuses to start (error 803). Remove the package's folder from the search path:",
        )
        return Verdict(
            status="error",
            summary=summary,
            details=details,
            commands=(_WITHOUT_COMPAT, "sudo ldconfig"),
        )
    consumer = [card.name for card in nvidia.cards if _is_consumer(card.name)]
    if consumer:
        fix = newer_driver(context.facts.system)
        return Verdict(
            status="error",
            summary=summary,
            details=(
                f"that works on data-centre GPUs, not on a {consumer[0]} (error 804):",
                "remove it from the search path and install a newer driver",
                *fix.details,
            ),
            commands=(_WITHOUT_COMPAT, *fix.commands),
        )
    return Verdict(status="ok", summary=summary)


@GROUP.check("cuda", "CUDA release", needs=("nvidia",), after=("driver", "gpu", "libcuda"))
def release(context: CheckContext) -> Verdict:
    """Check that the driver supports the CUDA that the stack's wheels are linked with."""
    nvidia, minimums = context.facts.nvidia, context.stack.gpu
    assert nvidia
    assert minimums
    oldest, native = as_driver(minimums.driver), as_driver(minimums.driver_native)
    effective = _effective(nvidia.driver, nvidia.libcuda)
    if effective >= minimums.driver_native:
        summary = f"{minimums.cuda}, supported by driver {native} and later"
        return Verdict(status="ok", summary=summary)
    summary = f"built with {minimums.cuda}; the driver is {as_driver(nvidia.driver)}"
    if effective >= minimums.driver:
        # Minor version compatibility covers compiled kernels, not PTX compiled at run time.
        details: tuple[str, ...] = (
            f"it runs by CUDA's compatibility within a major version; {native} or later is better",
        )
        return Verdict(status="warning", summary=summary, details=details, commands=("nvidia-smi",))
    fix = newer_driver(context.facts.system)
    details = (
        f"stack {context.stack.id} needs driver {oldest} or later, best {native}",
        *fix.details,
        *instead(context)[0],
    )
    if not any(_is_consumer(card.name) for card in nvidia.cards):
        package = f"cuda-compat-{minimums.cuda.replace('.', '-')}"
        details += (f"if you must keep it, NVIDIA's {package} package helps on data-centre GPUs",)
    return Verdict(
        status="error",
        summary=summary,
        details=details,
        commands=fix.commands,
    )


def _is_consumer(name: str) -> bool:
    return any(part in name for part in _CONSUMER)


def _effective(driver: Release, libcuda: LibCuda | None) -> Release:
    """Return the driver release whose CUDA a program gets."""
    return max(driver, libcuda.release) if libcuda and libcuda.kind == "compat" else driver

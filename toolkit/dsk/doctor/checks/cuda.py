"""The CUDA that a program gets from the driver, against the CUDA that the stack was built with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, as_driver
from dsk.doctor.fixes import driver_of

if TYPE_CHECKING:
    from dsk.host.facts import LibCuda, Release

GROUP: Final = CheckGroup(position=30)
# Names of cards on which NVIDIA does not support its forward compatibility package.
_CONSUMER: Final = ("GeForce", "TITAN", "Quadro", "RTX", "GTX")
_BOTH: Final = "NVIDIA_DRIVER_CAPABILITIES=compute,utility"
_WITHOUT_COMPAT: Final = "unset LD_LIBRARY_PATH"


@GROUP.check("libcuda", "CUDA library", needs=("nvidia",), after=("driver", "gpu"))
def library(context: CheckContext) -> Verdict:
    """The libcuda.so.1 that the loader gives to a program: it must be the driver's own."""
    seen, system = context.facts.nvidia, context.facts.system
    assert seen
    found = seen.libcuda
    if found is None:
        return _no_library(context)
    summary = f"libcuda {as_driver(found.release)}" if found.release else "libcuda"
    if found.kind == "stub":
        details: tuple[str, ...] = (
            "it is the stub that programs are linked with: it finds no card",
        )
        commands = ('export LD_LIBRARY_PATH="${LD_LIBRARY_PATH//stubs/}"',)
        return Verdict(
            status="error", summary=f"{summary}, a stub", details=details, commands=commands
        )
    if system and system.wsl and found.kind != "wsl":
        details = (
            "a Linux driver was installed inside WSL and hides the one that Windows lends:",
            "remove it; nothing of NVIDIA's driver belongs into this Linux",
        )
        commands = ("sudo apt-get purge -y '^nvidia-driver-.*' '^libnvidia-compute-.*'",)
        return Verdict(
            status="error",
            summary=f"{summary}, not Windows' own",
            details=details,
            commands=commands,
        )
    if found.kind == "compat":
        return _compat(context, found, summary)
    return Verdict(status="ok", summary=f"{summary}, the driver's own")


def _no_library(context: CheckContext) -> Verdict:
    system = context.facts.system
    details: tuple[str, ...] = (
        "the driver answers, but programs find no libcuda.so.1 to compute with",
    )
    commands = driver_of(system)
    if system and system.container:
        details += (
            "the container was given the cards for looking only: start it anew with this variable,",
            f"-e {_BOTH}; on the machine itself, this shows that it works:",
        )
        commands = (f"docker run --rm --gpus all -e {_BOTH} ubuntu nvidia-smi",)
    elif system and system.wsl:
        details += ("Windows lends it in /usr/lib/wsl/lib: tell the loader",)
        commands = ("echo /usr/lib/wsl/lib | sudo tee /etc/ld.so.conf.d/wsl.conf", "sudo ldconfig")
    return Verdict(status="error", summary="no libcuda", details=details, commands=commands)


def _compat(context: CheckContext, found: LibCuda, summary: str) -> Verdict:
    """CUDA's forward compatibility: a newer library over an older driver, in data centres only."""
    seen = context.facts.nvidia
    assert seen
    summary += ", of CUDA's compatibility package"
    if seen.driver >= found.release:
        details = (
            f"it hides the driver's own, which is newer ({as_driver(seen.driver)}): CUDA then",
            "refuses to start (error 803). Take the package's folder out of the search path:",
        )
        return Verdict(
            status="error",
            summary=summary,
            details=details,
            commands=(_WITHOUT_COMPAT, "sudo ldconfig"),
        )
    consumer = [card.name for card in seen.cards if any(part in card.name for part in _CONSUMER)]
    if consumer:
        details = (
            f"that works on data-centre cards, not on a {consumer[0]} (error 804):",
            "take it out of the search path and install a newer driver",
        )
        commands = (_WITHOUT_COMPAT, *driver_of(context.facts.system))
        return Verdict(status="error", summary=summary, details=details, commands=commands)
    return Verdict(status="ok", summary=summary)


@GROUP.check("cuda", "CUDA release", needs=("nvidia",), after=("driver", "gpu", "libcuda"))
def release(context: CheckContext) -> Verdict:
    """The driver's age against the CUDA that the stack's wheels are linked with."""
    seen, floors = context.facts.nvidia, context.stack.gpu
    assert seen
    assert floors
    oldest, native = as_driver(floors.driver), as_driver(floors.driver_native)
    effective = _effective(seen.driver, seen.libcuda)
    if effective >= floors.driver_native:
        return Verdict(status="ok", summary=f"{floors.cuda}, which driver {native} and later know")
    summary = f"built with {floors.cuda}; the driver is {as_driver(seen.driver)}"
    if effective >= floors.driver:
        details: tuple[str, ...] = (
            f"it runs by CUDA's compatibility within a major version; {native} or later is better",
        )
        return Verdict(status="warning", summary=summary, details=details, commands=("nvidia-smi",))
    details = (
        f"stack {context.stack.id} needs driver {oldest} or later, best {native}",
        "install a newer driver from where this one came from, then restart the machine",
    )
    if not any(part in card.name for card in seen.cards for part in _CONSUMER):
        package = f"cuda-compat-{floors.cuda.replace('.', '-')}"
        details += (f"where it must stay, NVIDIA's {package} package helps on data-centre cards",)
    return Verdict(
        status="error", summary=summary, details=details, commands=driver_of(context.facts.system)
    )


def _effective(driver: Release, found: LibCuda | None) -> Release:
    """The release whose CUDA a program gets."""
    return max(driver, found.release) if found and found.kind == "compat" else driver

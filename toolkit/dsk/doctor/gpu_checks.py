"""The links of the chain from the driver to the card, judged against a stack's floors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.compat import Gpu
from dsk.compat.select import misfits
from dsk.doctor.facts import GIB
from dsk.doctor.judging import Check, Question, Status, Verdict
from dsk.doctor.mending import as_root

if TYPE_CHECKING:
    from dsk.doctor.facts import Card, Release

_NOT_NEEDED: Final = "not needed: stack {} runs on the CPU"
# What a card alone on a desktop has taken by the desktop itself, with room to spare.
_TAKEN: Final = 2 * GIB


def driver(question: Question) -> Verdict:
    """The kernel module is loaded and NVML answers."""
    seen = question.facts.nvidia
    assert seen
    if question.stack.gpu is None and not seen.on_bus and not seen.driver:
        return Verdict(status="skipped", said=_NOT_NEEDED.format(question.stack.id))
    if question.gpu and not seen.driver:
        said = f"not reached: ask where the {question.gpu.name} is"
        return Verdict(status="skipped", said=said)
    if seen.driver:
        cuda = f", CUDA up to {_dotted(seen.cuda)}" if seen.cuda else ""
        return Verdict(status="ok", said=_dotted(seen.driver) + cuda)
    return _no_driver(question)


def _no_driver(question: Question) -> Verdict:
    seen = question.facts.nvidia
    assert seen
    status: Status = "error" if question.stack.gpu else "warning"
    reboot = as_root("reboot", question.facts.system)
    if seen.module:
        details = (
            f"NVML says: {seen.problem}",
            f"the kernel module {_dotted(seen.module)} is loaded; its library does not answer",
            "after an update of the driver it answers once the machine has been restarted",
        )
        said = "loaded, but it does not answer"
        return Verdict(status=status, said=said, details=details, commands=(reboot,))
    if seen.on_bus:
        said = f"not loaded; NVIDIA cards on the bus: {seen.on_bus}"
        return Verdict(
            status=status,
            said=said,
            details=(f"NVML says: {seen.problem}",),
            commands=(as_root("modprobe nvidia", question.facts.system), "nvidia-smi"),
        )
    return Verdict(
        status=status,
        said="none, and no NVIDIA card on the bus",
        details=(f"stack {question.stack.id} needs an NVIDIA card",),
        commands=("dsk doctor --stack cpu",),
    )


def card(question: Question) -> Verdict:
    """Compute capability and VRAM, against the stack's kernels and floors."""
    if question.stack.gpu is None:
        return Verdict(status="skipped", said=_NOT_NEEDED.format(question.stack.id))
    if question.gpu:
        return _judged([question.gpu], question)
    seen = question.facts.nvidia
    if seen is None or not seen.driver:
        return Verdict(status="skipped", said="not reached: NVIDIA driver first")
    if not seen.cards:
        details = ("the driver answers, but knows no card; a container needs --gpus all",)
        commands = ("nvidia-smi -L",)
        return Verdict(status="error", said="none", details=details, commands=commands)
    return _judged([as_profile(one, question.stack.host.arch) for one in seen.cards], question)


def _judged(cards: list[Gpu], question: Question) -> Verdict:
    """Good if one card fits: the engine is told to use that one."""
    said = ", ".join(f"{one.name} ({one.sm}, {one.vram_gib} GiB)" for one in cards)
    failing = [(one, misfits(question.stack, one)) for one in cards]
    unfit = tuple(f"{one.name}: {'; '.join(why)}" for one, why in failing if why)
    if len(unfit) == len(cards):
        commands = ("dsk matrix list",)
        return Verdict(status="error", said=said, details=unfit, commands=commands)
    if unfit:
        fitting = ",".join(str(index) for index, (_, why) in enumerate(failing) if not why)
        commands = (f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={fitting}",)
        return Verdict(status="warning", said=said, details=unfit, commands=commands)
    return Verdict(status="ok", said=said)


def free_memory(question: Question) -> Verdict:
    """VRAM that nobody else holds."""
    seen = question.facts.nvidia
    assert seen
    if question.gpu:
        return Verdict(status="skipped", said="not reached: this is not that machine")
    said = ", ".join(f"{one.memory_free / GIB:.1f} GiB free" for one in seen.cards)
    if any(one.memory_total - one.memory_free <= _TAKEN for one in seen.cards):
        return Verdict(status="ok", said=said)
    details = ("another program holds the rest; the engine wants most of a card for itself",)
    commands = ("nvidia-smi --query-compute-apps=pid,used_memory,process_name --format=csv",)
    return Verdict(status="warning", said=said, details=details, commands=commands)


def cuda(question: Question) -> Verdict:
    """The driver's age against the CUDA that the stack's wheels are linked with."""
    seen, floors = question.facts.nvidia, question.stack.gpu
    assert seen
    assert floors
    oldest, native = _dotted(floors.driver), _dotted(floors.driver_native)
    if seen.driver >= floors.driver_native:
        return Verdict(status="ok", said=f"{floors.cuda}, which driver {native} and later know")
    said = f"built with {floors.cuda}; the driver is {_dotted(seen.driver)}"
    if seen.driver >= floors.driver:
        details = (
            f"it runs by CUDA's compatibility within a major version; {native} or later is better",
        )
        return Verdict(status="warning", said=said, details=details, commands=("nvidia-smi",))
    advice = (
        f"stack {question.stack.id} needs driver {oldest} or later, best {native}",
        "install a newer driver from where this one came from, then restart the machine",
    )
    system = question.facts.system
    on_ubuntu = system and system.distribution == "ubuntu"
    command = as_root("ubuntu-drivers install", system) if on_ubuntu else "dsk matrix list"
    return Verdict(status="error", said=said, details=advice, commands=(command,))


def as_profile(card: Card, arch: str) -> Gpu:
    """A card that was found, as the matrix describes cards; its nominal VRAM is the rounded one."""
    major, minor = card.compute_capability
    return Gpu.model_validate(
        {
            "id": "found",
            "name": card.name.removeprefix("NVIDIA ").removeprefix("GeForce "),
            "aliases": (card.name,),
            "compute_capability": f"{major}.{minor}",
            "vram_gib": max(1, round(card.memory_total / GIB)),
            "host_arch": arch,
        }
    )


def _dotted(release: Release) -> str:
    """A release as NVIDIA writes it: ``535.183.01``."""
    return ".".join(str(part) if at < 2 else f"{part:02}" for at, part in enumerate(release))


CHECKS: Final = (
    Check(id="driver", title="NVIDIA driver", judge=driver, needs=("nvidia",)),
    Check(id="gpu", title="GPU", judge=card),
    Check(id="cuda", title="CUDA", judge=cuda, needs=("nvidia",), after=("driver", "gpu")),
    Check(
        id="free_memory",
        title="Free VRAM",
        judge=free_memory,
        needs=("nvidia",),
        after=("driver", "gpu"),
    ),
)

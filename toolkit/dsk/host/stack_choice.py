"""The choice of a stack for a machine, by its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.errors import NoStackFits
from dsk.host.gpu_profile import as_profile
from dsk.matrix import select
from dsk.matrix.select import Host, host_with, nearest

if TYPE_CHECKING:
    from dsk.host.facts import Facts
    from dsk.matrix import Gpu, Matrix, Stack
    from dsk.matrix.select import Choice, Prefer


def choose(matrix: Matrix, facts: Facts, gpu: Gpu | None) -> tuple[Stack, str]:
    """Return the stack that the doctor checks, and why that one.

    It is the stack for ``gpu``, else for this machine's largest GPU, else for the CPU. Where none
    fits it is the nearest one: the checks then say which minimums it lacks.
    """
    if gpu:
        return _fitting_or_nearest(matrix, host_with(gpu)), f"for the {gpu.name}"
    nvidia, host = facts.nvidia, host_of(facts)
    if nvidia and nvidia.cards:
        largest = max(nvidia.cards, key=lambda card: card.memory_total)
        return _fitting_or_nearest(matrix, host), f"for the {largest.name} here"
    if nvidia is None:
        return _first_for_gpus(matrix), "the NVIDIA driver could not be queried; a GPU is assumed"
    if silent_card(facts):
        return _first_for_gpus(matrix), "for the NVIDIA GPU here, which does not answer"
    return _fitting_or_nearest(matrix, host), "no NVIDIA GPU here"


def choose_strictly(matrix: Matrix, facts: Facts, prefer: Prefer = "recipe") -> Choice:
    """Return the best stack whose minimums this machine meets.

    Raises:
        NoStackFits: there is none, or the machine's NVIDIA GPU does not answer.
    """
    if facts.nvidia is None or silent_card(facts):
        # The CPU's stack would run, far slower, and hide that the GPU is broken.
        what = "the NVIDIA GPU here does not answer, so no stack can be chosen for it"
        raise NoStackFits(what, do="dsk doctor says why; --stack chooses one regardless")
    return select.choose(matrix, host_of(facts), prefer=prefer)


def host_of(facts: Facts) -> Host:
    """Return the properties of a machine that a stack's minimums are compared with."""
    system, nvidia, libraries, memory = facts.system, facts.nvidia, facts.libraries, facts.memory
    arch = system.machine if system else "x86_64"
    cards = tuple(as_profile(card, arch) for card in nvidia.cards) if nvidia else ()
    return Host(
        name=", ".join(card.name for card in cards) or "this machine",
        arch=arch,
        cards=cards,
        driver=(nvidia.driver or None) if nvidia else None,
        glibc=libraries.glibc if libraries else None,
        glibcxx=libraries.glibcxx if libraries else None,
        ram=min(memory.total, memory.limit or memory.total) if memory else None,
    )


def silent_card(facts: Facts) -> bool:
    """Return True if there is an NVIDIA GPU that no driver answers for."""
    nvidia = facts.nvidia
    return bool(nvidia and not nvidia.cards and (nvidia.on_bus or nvidia.module))


def _fitting_or_nearest(matrix: Matrix, host: Host) -> Stack:
    try:
        return select.choose(matrix, host).stack
    except NoStackFits:
        return nearest(matrix, host)


def _first_for_gpus(matrix: Matrix) -> Stack:
    for_gpus = [stack for stack in matrix.stacks.values() if stack.gpu]
    return min(for_gpus, key=lambda stack: stack.rank)

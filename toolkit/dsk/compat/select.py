"""Which stack a GPU gets: pure, from floors and profiles alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.compat.profiles import sm
from dsk.errors import NoStackFits

if TYPE_CHECKING:
    from dsk.compat.matrix import Matrix
    from dsk.compat.profiles import Gpu
    from dsk.compat.stack import Stack


def select(matrix: Matrix, gpu: Gpu) -> Stack:
    """The preferred stack of those whose floors all hold on this card.

    Raises:
        NoStackFits: naming the nearest stack and the floors that fail.
    """
    fitting = [stack for stack in matrix.stacks.values() if not misfits(stack, gpu)]
    if fitting:
        return min(fitting, key=lambda stack: stack.rank)
    on_gpus = [stack for stack in matrix.stacks.values() if stack.gpu]
    nearest = min(on_gpus, key=lambda stack: (len(misfits(stack, gpu)), stack.rank))
    what = f"no stack fits {gpu.name}; the nearest is {nearest.id}"
    raise NoStackFits(what, do="; ".join(misfits(nearest, gpu)))


def require(stack: Stack, gpu: Gpu) -> None:
    """See that a stack, chosen by hand, runs on this card.

    Raises:
        NoStackFits: naming the floors that fail.
    """
    failing = misfits(stack, gpu)
    if failing:
        what = f"stack '{stack.id}' does not fit {gpu.name}"
        raise NoStackFits(what, do="; ".join(failing))


def misfits(stack: Stack, gpu: Gpu) -> list[str]:
    """The floors of a stack that do not hold on this card, each in words."""
    floors = stack.gpu
    if floors is None:
        return ["it runs on a CPU"]
    failing = []
    if gpu.host_arch != stack.host.arch:
        failing.append(f"its lock is for {stack.host.arch}, the card's machine is {gpu.host_arch}")
    if gpu.compute_capability < floors.min_compute_capability:
        failing.append(f"it needs {sm(floors.min_compute_capability)} or later, this is {gpu.sm}")
    if not floors.has_kernels_for(gpu.compute_capability):
        compiled = ", ".join(sm(kernel) for kernel in floors.kernels)
        failing.append(f"its kernels are for {compiled}, none of which runs on {gpu.sm}")
    if gpu.vram_gib < floors.vram_gib:
        failing.append(f"it needs {floors.vram_gib} GiB of VRAM, this has {gpu.vram_gib}")
    return failing

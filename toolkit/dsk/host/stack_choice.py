"""The choice of a stack for a machine, by its facts."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from dsk.errors import NoStackFits
from dsk.host.gpu_profile import as_profile
from dsk.matrix import select
from dsk.matrix.select import (
    Host,
    host_with,
    nearest,
    unmet_gpu_minimums,
    unmet_minimums,
)
from dsk.vllm_plugin.stack_support import obstacle_for, stacks_for

if TYPE_CHECKING:
    from dsk.host.facts import Facts
    from dsk.matrix import Gpu, Matrix, Model, Stack
    from dsk.matrix.select import Choice, Prefer


def choose(
    matrix: Matrix, facts: Facts, gpu: Gpu | None, model: Model, requested: Stack | None = None
) -> tuple[Stack, str]:
    """Return the stack that the doctor checks, on the machine's architecture, and why that one.

    It is the requested one, else the stack for ``gpu``, else that of the image around this process,
    else the one for this machine's GPUs, else for the CPU. Where none fits it is the nearest one:
    the checks then say which minimums it lacks. Stacks that read ``model`` come first.
    """
    arch = gpu.host_arch if gpu else host_of(facts).arch
    if requested:
        return matrix.stack(requested.id, arch), "as requested"
    stack, why = _chosen(matrix, facts, gpu, model)
    return stack.on(arch), why


def _chosen(matrix: Matrix, facts: Facts, gpu: Gpu | None, model: Model) -> tuple[Stack, str]:
    if gpu:
        return _fitting_or_nearest(matrix, host_with(gpu), model), f"for the {gpu.name}"
    nvidia, host = facts.nvidia, host_of(facts)
    if facts.system and facts.system.image in matrix.stacks:
        return matrix.stack(facts.system.image), "the stack of this image"
    if nvidia and nvidia.cards:
        names = dict.fromkeys(card.name for card in nvidia.cards)
        why = f"for the {' and the '.join(names)} here"
        return _fitting_or_nearest(matrix, host, model), why
    if nvidia is None:
        return _first_for_gpus(
            matrix, model
        ), "the NVIDIA driver could not be queried; a GPU is assumed"
    if silent_card(facts):
        return _first_for_gpus(matrix, model), "for the NVIDIA GPU here, which does not answer"
    return _fitting_or_nearest(matrix, host, model), "no NVIDIA GPU here"


def alternatives(
    matrix: Matrix, facts: Facts, gpu: Gpu | None, stack: Stack, model: Model
) -> tuple[str, ...]:
    """Return the stacks, but ``stack``, that read a model and whose minimums a machine meets.

    The preferred ones come first; where there is a GPU, stacks for the CPU come last. The machine
    is that of the facts, or any with ``gpu``.
    """
    host = host_with(gpu) if gpu else host_of(facts)
    hosts = (host, replace(host, cards=())) if host.cards else (host,)
    ranked = stacks_for(model, matrix)
    fitting = [stack.id for one in hosts for stack in ranked if not unmet_minimums(stack, one)]
    return tuple(name for name in dict.fromkeys(fitting) if name != stack.id)


def by_card(matrix: Matrix, facts: Facts, stack: Stack, model: Model) -> dict[str, str]:
    """Return the stack of each of the machine's cards that ``stack`` does not run on, by its name.

    A card that no stack that reads the model runs on is left out.
    """
    found = {}
    host = host_of(facts)
    for card in host.cards:
        if unmet_gpu_minimums(stack, card):
            alone = replace(host, cards=(card,))
            with contextlib.suppress(NoStackFits):
                choice = select.choose(matrix, alone, obstacle=obstacle_for(model))
                found[card.name] = choice.stack.id
    return found


def choose_strictly(
    matrix: Matrix,
    facts: Facts,
    model: Model,
    *,
    prefer: Prefer = "recipe",
    version: str | None = None,
) -> Choice:
    """Return the best stack that reads a model and whose minimums this machine meets.

    Args:
        matrix: the loaded matrix.
        facts: of this machine.
        model: the model that is to be read with.
        prefer: the order of stacks that fit.
        version: the vLLM that will run, where it is not the stack's.

    Raises:
        NoStackFits: there is none, or the machine's NVIDIA GPU does not answer.
    """
    if facts.nvidia is None or silent_card(facts):
        # The CPU's stack would run, far slower, and hide that the GPU is broken.
        what = "the NVIDIA GPU here does not answer, so no stack can be chosen for it"
        raise NoStackFits(what, do="dsk doctor says why; --stack chooses one regardless")
    obstacle = obstacle_for(model, version)
    return select.choose(matrix, host_of(facts), prefer=prefer, obstacle=obstacle)


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


def _fitting_or_nearest(matrix: Matrix, host: Host, model: Model) -> Stack:
    obstacle = obstacle_for(model)
    try:
        return select.choose(matrix, host, obstacle=obstacle).stack
    except NoStackFits:
        return nearest(matrix, host, obstacle)


def _first_for_gpus(matrix: Matrix, model: Model) -> Stack:
    obstacle = obstacle_for(model)
    for_gpus = [stack for stack in matrix.current if stack.gpu]
    return min(for_gpus, key=lambda stack: (bool(obstacle(stack)), stack.rank))

"""A machine's facts as what stacks are chosen by, and the stack that is judged on it: pure."""

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
    """The stack for a card that is asked about, for this machine's card, or for none; and why.

    Where none fits it is the nearest one: the checks say which floors fail.
    """
    if gpu:
        return _fitting_or_nearest(matrix, host_with(gpu)), f"for the {gpu.name}"
    nvidia, host = facts.nvidia, host_of(facts)
    if nvidia and nvidia.cards:
        found = max(nvidia.cards, key=lambda card: card.memory_total)
        return _fitting_or_nearest(matrix, host), f"for the {found.name} here"
    if nvidia is None:
        return _first_on_cards(matrix), "the NVIDIA driver could not be asked, a card is assumed"
    if silent_card(facts):
        return _first_on_cards(matrix), "for the NVIDIA card here, which does not answer"
    return _fitting_or_nearest(matrix, host), "there is no NVIDIA card here"


def choose_strictly(matrix: Matrix, facts: Facts, prefer: Prefer = "recipe") -> Choice:
    """The stack whose floors all hold on this machine.

    Raises:
        NoStackFits: there is none, or there is an NVIDIA card that does not answer.
    """
    if facts.nvidia is None or silent_card(facts):
        what = "the NVIDIA card here does not answer, and no stack is chosen blindly"
        raise NoStackFits(what, do="dsk doctor says why; --stack names one all the same")
    return select.choose(matrix, host_of(facts), prefer=prefer)


def host_of(facts: Facts) -> Host:
    """A machine as floors see it; what no probe could tell is not known."""
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
    """Whether there is an NVIDIA card that no driver answers for."""
    nvidia = facts.nvidia
    return bool(nvidia and not nvidia.cards and (nvidia.on_bus or nvidia.module))


def _fitting_or_nearest(matrix: Matrix, host: Host) -> Stack:
    try:
        return select.choose(matrix, host).stack
    except NoStackFits:
        return nearest(matrix, host)


def _first_on_cards(matrix: Matrix) -> Stack:
    on_cards = [stack for stack in matrix.stacks.values() if stack.gpu]
    return min(on_cards, key=lambda stack: stack.rank)

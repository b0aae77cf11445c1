"""Which stack is judged, when nobody named one: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.compat.select import select
from dsk.doctor.gpu_checks import as_profile
from dsk.errors import NoStackFits

if TYPE_CHECKING:
    from dsk.compat import Gpu, Matrix, Stack
    from dsk.doctor.facts import Facts


def choose(matrix: Matrix, facts: Facts, gpu: Gpu | None) -> tuple[Stack, str]:
    """The stack for a card that is asked about, for this machine's card, or for none; and why."""
    if gpu:
        return _for_card(matrix, gpu), f"for the {gpu.name}"
    nvidia = facts.nvidia
    if nvidia and nvidia.cards:
        arch = facts.system.machine if facts.system else "x86_64"
        found = max(nvidia.cards, key=lambda card: card.memory_total)
        return _for_card(matrix, as_profile(found, arch)), f"for the {found.name} here"
    if nvidia is None:
        return _first(matrix, "cuda"), "the NVIDIA driver could not be asked, a card is assumed"
    if nvidia.on_bus or nvidia.module:
        return _first(matrix, "cuda"), "for the NVIDIA card here, which does not answer"
    return _first(matrix, "cpu"), "there is no NVIDIA card here"


def _for_card(matrix: Matrix, gpu: Gpu) -> Stack:
    try:
        return select(matrix, gpu)
    except NoStackFits:
        # The check of the card says which floors fail.
        return _first(matrix, "cuda")


def _first(matrix: Matrix, device: str) -> Stack:
    fitting = [stack for stack in matrix.stacks.values() if stack.device == device]
    return min(fitting, key=lambda stack: stack.rank)

"""The stack for this machine: probe it, then choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.host.probes import FOR_STACK_CHOICE, gather
from dsk.host.stack_choice import choose_strictly

if TYPE_CHECKING:
    from dsk.matrix import Matrix, Stack


def stack_for_this_machine(matrix: Matrix) -> Stack:
    """Probe this machine, which takes a moment, and return the stack that fits it.

    Raises:
        NoStackFits: there is none, or there is an NVIDIA card that does not answer.
    """
    return choose_strictly(matrix, gather(FOR_STACK_CHOICE)).stack

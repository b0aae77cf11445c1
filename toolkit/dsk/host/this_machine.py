"""Choice of a stack for this machine, which is probed first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.host.probes import FOR_STACK_CHOICE, gather
from dsk.host.stack_choice import choose_strictly

if TYPE_CHECKING:
    from dsk.matrix import Matrix, Model, Stack


def stack_for_this_machine(matrix: Matrix, model: Model, *, version: str | None = None) -> Stack:
    """Probe this machine and return the best stack that reads a model and whose minimums it meets.

    Args:
        matrix: the loaded matrix.
        model: the model that is to be read with.
        version: the vLLM that will run, where it is not the stack's.

    Raises:
        NoStackFits: there is none, or the machine's NVIDIA GPU does not answer.
    """
    return choose_strictly(matrix, gather(FOR_STACK_CHOICE), model, version=version).stack

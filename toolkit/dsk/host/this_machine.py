"""Probe of this machine for a choice: of its GPUs, and of a stack for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dsk import console
from dsk.errors import UsageProblem
from dsk.host import gpu_selection
from dsk.host.gpu_selection import VARIABLE
from dsk.host.probes import FOR_STACK_CHOICE, gather
from dsk.host.stack_choice import choose_strictly

if TYPE_CHECKING:
    from dsk.host.facts import Facts
    from dsk.host.gpu_selection import Device
    from dsk.matrix import Matrix, Model, Stack


def probe(gpus: str | None = None) -> tuple[Facts, tuple[Device, ...]]:
    """Probe this machine; return its facts as if it had the chosen GPUs alone, and these.

    Args:
        gpus: as `dsk.host.gpu_selection.select` takes them; None for all that
            CUDA_VISIBLE_DEVICES leaves.

    Returns:
        Without devices where the driver does not answer, or where the variable has names that
        only CUDA knows: CUDA then takes its first GPU.

    Raises:
        UsageProblem: a GPU that is named is not there, or is hidden, or CUDA_VISIBLE_DEVICES
            names none that is there.
    """
    facts = gather(FOR_STACK_CHOICE)
    devices, variable = gpu_selection.devices_of(facts.nvidia), os.environ.get(VARIABLE)
    if gpus is not None:
        chosen = gpu_selection.select(devices, gpus, variable)
    else:
        chosen = gpu_selection.visible(devices, variable)
        if not chosen and variable is not None and not gpu_selection.hides_all(variable):
            if devices and not gpu_selection.names_by_cuda(variable):
                what = f"{VARIABLE}={variable} names no GPU of this machine"
                raise UsageProblem(what, do="unset it, or name those that nvidia-smi -L lists")
            return facts, ()
    if variable and _is_ambiguous(variable, devices):
        what = f"{VARIABLE}={variable} is taken for the numbers of nvidia-smi"
        console.warn(f"{what}; CUDA counts the fastest GPU first unless told otherwise")
    if facts.nvidia is not None and chosen != devices:
        facts = facts.model_copy(update={"nvidia": gpu_selection.limited_to(facts.nvidia, chosen)})
    return facts, chosen


def shown(facts: Facts) -> Facts:
    """Return a machine's facts with those GPUs alone that CUDA_VISIBLE_DEVICES leaves.

    A value that names none of them, which is an error elsewhere, changes nothing.
    """
    devices, variable = gpu_selection.devices_of(facts.nvidia), os.environ.get(VARIABLE)
    left = gpu_selection.visible(devices, variable)
    if facts.nvidia is None or len(left) == len(devices):
        return facts
    if not left and not gpu_selection.hides_all(variable):
        return facts
    return facts.model_copy(update={"nvidia": gpu_selection.limited_to(facts.nvidia, left)})


def stack_for_this_machine(
    matrix: Matrix, model: Model, *, version: str | None = None, facts: Facts | None = None
) -> Stack:
    """Return the best stack that reads a model and whose minimums this machine meets.

    Args:
        matrix: the loaded matrix.
        model: the model that is to be read with.
        version: the vLLM that will run, where it is not the stack's.
        facts: of this machine, as `probe` gives them; None to probe it.

    Raises:
        NoStackFits: there is none, or the machine's NVIDIA GPU does not answer.
    """
    return choose_strictly(matrix, facts or probe()[0], model, version=version).stack


def _is_ambiguous(variable: str, devices: tuple[Device, ...]) -> bool:
    """Return True if CUDA may count the GPUs in another order than NVML, and it matters."""
    has_numbers = any(entry.strip().isdecimal() for entry in variable.split(","))
    in_pci_order = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return has_numbers and not in_pci_order and len({each.card.name for each in devices}) > 1

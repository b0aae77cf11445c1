"""The machine's entry in a record of evidence, made of its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.host.facts import GIB
from dsk.matrix.evidence import Machine

if TYPE_CHECKING:
    from dsk.host.facts import Facts


def machine_of(facts: Facts, device: str | None = None) -> Machine:
    """Return the machine as evidence describes it, with the GPU that was computed on.

    Args:
        facts: with processor, system and memory.
        device: the GPU's name as torch has it; None for a CPU.
    """
    processor, system, memory = facts.processor, facts.system, facts.memory
    nvidia = facts.nvidia
    cards = nvidia.cards if nvidia else ()
    # torch and NVML give a GPU the same name; of several equal ones any will do.
    card = next((card for card in cards if card.name == device), None)
    return Machine(
        cpu=", ".join([processor.name, *processor.instruction_sets]) if processor else "unknown",
        cores=processor.cores if processor else 1,
        ram_gib=max(1, round(memory.total / GIB)) if memory else 1,
        system=system.name if system else "unknown",
        gpu=device,
        compute_capability=".".join(map(str, card.compute_capability)) if card else None,
        vram_gib=max(1, round(card.memory_total / GIB)) if card else None,
        driver=".".join(map(str, nvidia.driver)) if nvidia and card else None,
    )

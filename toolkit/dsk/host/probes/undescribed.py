"""Completion of what NVML refuses to tell of a GPU, from what else is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsk.host.facts import GIB

if TYPE_CHECKING:
    from dsk.matrix import Gpu

# What a GPU is judged by.
_NEEDED: Final = {"compute_capability": "compute capability", "memory_total": "memory"}


def complete(answer: dict[str, Any]) -> dict[str, Any]:
    """Complete the GPUs in NVML's answer; set aside those of which too little is known.

    Args:
        answer: fields of `dsk.host.facts.Nvidia`. Its cards may have None for their name, compute
            capability and memory.
    """
    cards, unjudged = [], []
    for card in answer.get("cards", ()):
        whole = _completed(card)
        missing = [name for key, name in _NEEDED.items() if whole[key] is None]
        if missing:
            unjudged.append(f"{whole['name']}: NVML does not tell its {' and '.join(missing)}")
        else:
            cards.append(whole)
    return {**answer, "cards": cards, "unjudged": unjudged} if "cards" in answer else answer


def _completed(card: dict[str, Any]) -> dict[str, Any]:
    asked = ("name", *_NEEDED)
    if all(card[key] is not None for key in asked):
        return card
    known = _known(card["name"])
    whole = {**card, "name": card["name"] or "NVIDIA GPU"}
    if known and whole["compute_capability"] is None:
        whole["compute_capability"] = known.compute_capability
    return whole if whole["memory_total"] is not None else whole | _memory(whole, known)


def _memory(card: dict[str, Any], known: Gpu | None) -> dict[str, Any]:
    """Return the memory of a GPU that NVML does not tell."""
    if card["mig"]:  # with MIG on only an administrator learns the whole GPU's
        return {"memory_total": max(card["mig"]), "memory_free": max(card["mig_free"])}
    if card["unified"]:
        from dsk.host.probes import system

        machine = system.memory()
        return {"memory_total": machine.total, "memory_free": machine.available}
    return {"memory_total": known.vram_gib * GIB} if known else {}


def _known(name: str | None) -> Gpu | None:
    """Return the GPU of the matrix that has this name."""
    from dsk.errors import UsageProblem
    from dsk.matrix import load_matrix

    try:
        return load_matrix().gpu(name) if name else None
    except UsageProblem:
        return None

"""Profile of a machine's GPU, of the type that the matrix has for known ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.host.facts import GIB
from dsk.matrix import Gpu

if TYPE_CHECKING:
    from dsk.host.facts import Card


def memory_of(card: Card) -> int:
    """Return the bytes that one engine can get: with MIG, those of the largest instance."""
    return max(card.mig or (card.memory_total,))


def as_profile(card: Card, arch: str) -> Gpu:
    """Return the GPU as an entry of the matrix; its nominal VRAM is the rounded measured one."""
    major, minor = card.compute_capability
    return Gpu.model_validate(
        {
            "id": "found",
            "name": card.name.removeprefix("NVIDIA ").removeprefix("GeForce "),
            "aliases": (card.name,),
            "compute_capability": f"{major}.{minor}",
            "vram_gib": max(1, round(memory_of(card) / GIB)),
            "host_arch": arch,
        }
    )

"""The loaded matrix, and finding things in it by the names that people write."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from dsk.errors import UsageProblem
from dsk.frozen import Frozen
from dsk.matrix.digests import Fallback
from dsk.matrix.profiles import Gpu, Model
from dsk.matrix.stack import Stack, best_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping


class Matrix(Frozen):
    """GPUs, models and stacks by their ids, in the files' order, and what else is run."""

    folder: Path
    gpus: dict[str, Gpu]
    models: dict[str, Model]
    stacks: dict[str, Stack]
    digests: dict[str, str] = Field(default_factory=dict)
    """What the tags of base images meant when they were locked."""
    fallback: Fallback | None = None

    def gpu(self, name: str) -> Gpu:
        """The profile with this id, name or alias; case, spaces, hyphens and brand do not matter.

        Raises:
            UsageProblem: there is none; the message names the nearest.
        """
        spellings = self._spellings()
        found = spellings.get(normalized_name(name))
        if found is not None:
            return found
        near = difflib.get_close_matches(normalized_name(name), spellings, n=1, cutoff=0.5)
        nearest = spellings[near[0]].id if near else ""
        raise _unknown(name, nearest, self.gpus, kind="GPU")

    def stand_in(self, name: str, capability: tuple[int, int], vram_gib: int) -> Gpu | None:
        """The profile that an image for a card is built by: its own, or that of one alike.

        Alike is the highest compute capability of the card's major that is not above its own, so
        that what is compiled runs on it, and of those the nearest VRAM; None where none is.

        Args:
            name: as its driver has it.
            capability: its compute capability.
            vram_gib: in GiB.
        """
        own = self._spellings().get(normalized_name(name))
        kernel = best_kernel((gpu.compute_capability for gpu in self.gpus.values()), capability)
        alike = (gpu for gpu in self.gpus.values() if gpu.compute_capability == kernel)
        return own or min(alike, key=lambda gpu: abs(gpu.vram_gib - vram_gib), default=None)

    def _spellings(self) -> dict[str, Gpu]:
        return {spelling: gpu for gpu in self.gpus.values() for spelling in spellings_of(gpu)}

    def stack(self, name: str) -> Stack:
        """The stack with this id.

        Raises:
            UsageProblem: there is none; the message names those there are.
        """
        if name not in self.stacks:
            raise _unknown(name, "", self.stacks, kind="stack")
        return self.stacks[name]

    def model(self, name: str) -> Model:
        """The model with this id.

        Raises:
            UsageProblem: there is none; the message names those there are.
        """
        if name not in self.models:
            raise _unknown(name, "", self.models, kind="model")
        return self.models[name]


def spellings_of(gpu: Gpu) -> set[str]:
    """Every bare spelling that means this card."""
    return {normalized_name(text) for text in (gpu.id, gpu.name, *gpu.aliases)}


def normalized_name(name: str) -> str:
    """A card's name without what people vary: case, spaces, hyphens, underscores, the brand."""
    return re.sub(r"^(nvidia)?(geforce|tesla)?", "", re.sub(r"[\s_-]+", "", name.casefold()))


def _unknown(name: str, nearest: str, known: Mapping[str, object], *, kind: str) -> UsageProblem:
    do = f"did you mean {nearest}?" if nearest else f"known are {', '.join(known)}"
    return UsageProblem(f"no such {kind} '{name}'", do=do)

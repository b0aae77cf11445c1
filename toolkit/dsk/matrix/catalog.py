"""The loaded matrix: its GPUs, models and stacks, looked up by the names that people write."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from dsk.errors import UsageProblem
from dsk.frozen import Frozen
from dsk.matrix.digests import RecordedDigest
from dsk.matrix.models import Model
from dsk.matrix.profiles import Gpu
from dsk.matrix.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Mapping


class Matrix(Frozen):
    """GPUs, models and stacks by id, in the order of the files."""

    folder: Path
    gpus: dict[str, Gpu]
    models: dict[str, Model]
    stacks: dict[str, Stack]
    digests: dict[str, RecordedDigest] = Field(default_factory=dict)
    """The digest of each base image's tag when it was locked."""

    def gpu(self, name: str) -> Gpu:
        """Return the GPU with this id, name or alias, ignoring case, spaces, hyphens and brand.

        Raises:
            UsageProblem: no GPU has that name; the message suggests the nearest.
        """
        spellings = self._spellings()
        gpu = spellings.get(normalized_name(name))
        if gpu is not None:
            return gpu
        near = difflib.get_close_matches(normalized_name(name), spellings, n=1, cutoff=0.5)
        nearest = spellings[near[0]].id if near else ""
        raise _unknown(name, nearest, self.gpus, kind="GPU")

    def _spellings(self) -> dict[str, Gpu]:
        return {spelling: gpu for gpu in self.gpus.values() for spelling in spellings_of(gpu)}

    def stack(self, name: str) -> Stack:
        """Return the stack with this id.

        Raises:
            UsageProblem: there is none; the message lists the known ones.
        """
        if name not in self.stacks:
            raise _unknown(name, "", self.stacks, kind="stack")
        return self.stacks[name]

    @property
    def default_model(self) -> Model:
        """The first model of ``models.toml``."""
        return next(iter(self.models.values()))

    def model(self, name: str) -> Model:
        """Return the model with this id.

        Raises:
            UsageProblem: there is none; the message lists the known ones.
        """
        if name not in self.models:
            raise _unknown(name, "", self.models, kind="model")
        return self.models[name]


def spellings_of(gpu: Gpu) -> set[str]:
    """Return every normalized spelling of a GPU's names."""
    return {normalized_name(text) for text in (gpu.id, gpu.name, *gpu.aliases)}


def normalized_name(name: str) -> str:
    """Return a GPU's name without case, spaces, hyphens, underscores and brand."""
    # Drivers write "NVIDIA GeForce RTX 4090" and "Tesla T4", people "rtx-4090" and "t4".
    return re.sub(r"^(nvidia)?(geforce|tesla)?", "", re.sub(r"[\s_-]+", "", name.casefold()))


def _unknown(name: str, nearest: str, known: Mapping[str, object], *, kind: str) -> UsageProblem:
    do = f"did you mean {nearest}?" if nearest else f"known are {', '.join(known)}"
    return UsageProblem(f"no such {kind} '{name}'", do=do)

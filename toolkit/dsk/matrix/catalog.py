"""The loaded matrix: its GPUs, models and stacks, looked up by the names that people write."""

from __future__ import annotations

import platform
from pathlib import Path

from pydantic import Field

from dsk.errors import UsageProblem
from dsk.frozen import Frozen
from dsk.matrix import card_names
from dsk.matrix.digests import RecordedDigest
from dsk.matrix.models import Model
from dsk.matrix.profiles import Gpu
from dsk.matrix.stack import Stack


class Matrix(Frozen):
    """GPUs, models and stacks by id, in the order of the files."""

    folder: Path
    gpus: dict[str, Gpu]
    models: dict[str, Model]
    stacks: dict[str, Stack]
    candidates: dict[str, Stack] = Field(default_factory=dict)
    """Proposals of `dsk matrix update`, used only where they are named."""
    digests: dict[str, RecordedDigest] = Field(default_factory=dict)
    """The digest of each base image's tag when it was locked."""

    @property
    def current(self) -> list[Stack]:
        """Stacks that selection chooses from, the preferred ones first: no earlier versions."""
        current = (stack for stack in self.stacks.values() if not stack.earlier)
        return sorted(current, key=lambda stack: stack.rank)

    @property
    def earlier(self) -> list[Stack]:
        """Earlier versions of stacks, which are used only where they are named."""
        return [stack for stack in self.stacks.values() if stack.earlier]

    def gpu(self, name: str) -> Gpu:
        """Return the GPU that a name means, as people or drivers write it.

        Raises:
            UsageProblem: see `dsk.matrix.card_names.find`.
        """
        return card_names.find(name, self.gpus.values())

    def stack(self, name: str, arch: str | None = None) -> Stack:
        """Return the stack, or the candidate, with this id.

        Args:
            name: its id.
            arch: the architecture whose lock and minimums it is to have; this machine's by default.

        Raises:
            UsageProblem: there is none; the message lists the known ones.
        """
        return self._named(name).on(arch or platform.machine())

    def locked(self, name: str) -> tuple[Stack, ...]:
        """Return a stack on each architecture that it has a lock for, or the one of this lock.

        Args:
            name: the stack's id, or a lock's name, such as ``v1.aarch64``.

        Raises:
            UsageProblem: there is none.
        """
        stacks = (self.candidates | self.stacks).values()
        by_lock = {each.full_name: each for stack in stacks for each in stack.on_each}
        if name in by_lock and name not in self.candidates | self.stacks:
            return (by_lock[name],)
        return self._named(name).on_each

    def _named(self, name: str) -> Stack:
        known = self.candidates | self.stacks
        if name not in known:
            what = f"no such stack '{name}'"
            raise UsageProblem(what, do=f"known are {', '.join([*self.stacks, *self.candidates])}")
        return known[name]

"""Where each document's outputs go: folders of its own, none of them outside the output folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dsk.ocr import names

if TYPE_CHECKING:
    from pathlib import Path

_DEEPEST: Final = 1000
"""Bytes of a place below the output folder; the whole path may have 4096."""
_OURS: Final = ("run.json", "engine.log", "job.json", "bench.json")
"""What a run writes beside the documents' folders."""


class Places:
    """Gives out folders below an output folder, each once.

    Args:
        out: the output folder, which need not be there yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._root = os.path.realpath(out)
        self._folders: dict[tuple[str, ...], Path] = {(): out}
        self._taken: set[tuple[str, ...]] = {(name,) for name in _OURS}

    def of(self, place: tuple[str, ...]) -> Path:
        """A folder for a document, as near to ``place`` (names below the output folder) as can be.

        Names are made safe. Where one is taken, be it in other capitals, it gets a number: two
        documents never share a folder, nor does one lie within another's.
        """
        if sum(len(os.fsencode(part)) + 1 for part in place) > _DEEPEST:
            place = place[-1:]
        parent: tuple[str, ...] = ()
        for end in range(1, len(place)):
            parent = place[:end]
            if parent not in self._folders:
                above = self._folders[parent[:-1]]
                self._folders[parent] = self._free(above, names.safe(parent[-1]))
        return self._free(self._folders[parent], names.safe(place[-1]))

    def _free(self, above: Path, name: str) -> Path:
        number = 1
        wanted = above / name
        while self._key(wanted) in self._taken or self._leaves(wanted):
            number += 1
            wanted = above / f"{name}-{number}"
        self._taken.add(self._key(wanted))
        return wanted

    def _key(self, folder: Path) -> tuple[str, ...]:
        return tuple(names.same(part) for part in folder.relative_to(self._out).parts)

    def _leaves(self, folder: Path) -> bool:
        """Whether a link that lies there leads out of the output folder."""
        real = os.path.realpath(folder)
        return os.path.commonpath([real, self._root]) != self._root

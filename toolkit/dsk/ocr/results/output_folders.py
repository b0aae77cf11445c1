"""Where each document's outputs go: folders of its own, none of them outside the output folder."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from dsk import filenames
from dsk.ocr.results import folder_owners, ledger, manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DEEPEST: Final = 1000
"""Bytes of a place below the output folder; the whole path may have 4096."""
_OURS: Final = ("run.json", "engine.log", "job.json", "bench.json", folder_owners.FILE)
"""What a run writes beside the documents' folders."""
_NO_STEM: Final = manifest.FILE.removesuffix(".json")
"""What no document's outputs may begin with: its JSON would be its folder's manifest."""


class Places:
    """Gives out folders below an output folder, each once, and to its file again in a later run.

    Args:
        out: the output folder, which need not be there yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._root = os.path.realpath(out)
        self._folders: dict[tuple[str, ...], Path] = {(): out}
        self._taken: set[tuple[str, ...]] = {(name,) for name in _OURS}
        self._owners: dict[tuple[str, ...], Path] = {}
        self._owned: dict[Path, list[Path]] = {}
        self._above: set[tuple[str, ...]] = set()
        for place, file in folder_owners.read(out).items():
            key = self._key(out / place)
            self._owners[key] = file
            self._owned.setdefault(file, []).append(out / place)
            self._above.update(key[:end] for end in range(1, len(key)))

    def of(self, place: tuple[str, ...], file: Path, sha256: str) -> Path:
        """A folder for a document, as near to ``place`` (names below the output folder) as can be.

        Names are made safe. Where one is taken, be it in other capitals, it gets a number: two
        documents never share a folder, nor does one lie within another's, be it of another run.

        Args:
            file: the document's, which has its folder of an earlier run again.
            sha256: of the file, which tells whose a folder is that no run has written down.
        """
        if sum(len(os.fsencode(part)) + 1 for part in place) > _DEEPEST:
            place = place[-1:]
        file = folder_owners.identity(file)
        if own := self._own(place, file):
            return own
        parent: tuple[str, ...] = ()
        for end in range(1, len(place)):
            parent = place[:end]
            if parent not in self._folders:
                above = self._folders[parent[:-1]]
                self._folders[parent] = self._free(above, parent[-1], self._is_a_documents)
        above = self._folders[parent]
        return self._free(above, place[-1], lambda folder: self._is_not_for(folder, file, sha256))

    def _own(self, place: tuple[str, ...], file: Path) -> Path | None:
        """The folder that an earlier run gave to a file at that place."""
        for folder in self._owned.get(file, ()):
            parts = folder.relative_to(self._out).parts
            fits = len(parts) == len(place) and all(map(_is_numbered, parts, place))
            key = self._key(folder)
            if not fits or key in self._taken or self._leaves(folder):
                continue
            for end in range(1, len(parts)):
                self._folders.setdefault(place[:end], self._out.joinpath(*parts[:end]))
            self._taken.update(key[:end] for end in range(1, len(key) + 1))
            return folder
        return None

    def _free(self, above: Path, name: str, is_closed: Callable[[Path], bool]) -> Path:
        name = filenames.safe(name)
        number = 1
        wanted = above / name
        while self._key(wanted) in self._taken or self._leaves(wanted) or is_closed(wanted):
            number += 1
            wanted = above / f"{name}-{number}"
        self._taken.add(self._key(wanted))
        return wanted

    def _is_a_documents(self, folder: Path) -> bool:
        return self._key(folder) in self._owners or os.path.lexists(folder / manifest.FILE)

    def _is_not_for(self, folder: Path, file: Path, sha256: str) -> bool:
        """Whether a folder is another's, one would lie within the other, or its name is ours."""
        key = self._key(folder)
        if key in self._above or key[-1] == _NO_STEM:
            return True
        if key in self._owners:
            return self._owners[key] != file
        if os.path.lexists(folder / manifest.FILE):
            return manifest.sha256_in(folder) != sha256
        return _is_a_users(folder)

    def _key(self, folder: Path) -> tuple[str, ...]:
        return tuple(filenames.collision_key(part) for part in folder.relative_to(self._out).parts)

    def _leaves(self, folder: Path) -> bool:
        """Whether a link that lies there leads out of the output folder."""
        real = os.path.realpath(folder)
        return os.path.commonpath([real, self._root]) != self._root


def _is_a_users(folder: Path) -> bool:
    """Whether it has files and no ledger: with one, later runs would take them for outputs."""
    return folder.is_dir() and not (folder / ledger.FILE).exists() and any(folder.iterdir())


def _is_numbered(part: str, name: str) -> bool:
    """Whether a folder's name is a document's, be it with a number."""
    return re.fullmatch(rf"{re.escape(filenames.safe(name))}(-[0-9]+)?", part) is not None

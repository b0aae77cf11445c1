"""Choose the folder of each document's outputs: its own, and inside the run's output folder."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from dsk import filenames
from dsk.ocr.results import folder_owners, manifest
from dsk.ocr.schema import run_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Of a path below the output folder; Linux takes 4096 for the whole path.
_MAX_BYTES: Final = 1000
# A folder of this name would have its JSON output where its manifest lies.
_RESERVED_STEM: Final = run_files.MANIFEST.removesuffix(".json")


class OutputFolders:
    """Allocates folders below an output folder: each one once, and a known file its old one.

    Args:
        out: the output folder; it need not exist yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._root = os.path.realpath(out)
        # The folder that each parent of a requested name got.
        self._folders: dict[tuple[str, ...], Path] = {(): out}
        # Collision keys of all folders given out: a file system may ignore case.
        self._taken: set[tuple[str, ...]] = {(name,) for name in run_files.IN_OUTPUT_FOLDER}
        # Folders of earlier runs: the file that owns each, and those that each file owns.
        self._owners: dict[tuple[str, ...], Path] = {}
        self._owned: dict[Path, list[Path]] = {}
        # Folders with a document's folder somewhere below.
        self._parents: set[tuple[str, ...]] = set()
        for name, file in folder_owners.read(out).items():
            key = self._key(out / name)
            self._owners[key] = file
            self._owned.setdefault(file, []).append(out / name)
            self._parents.update(key[:end] for end in range(1, len(key)))

    def allocate(self, parts: tuple[str, ...], file: Path, sha256: str) -> Path:
        """Return a folder for a document, named after ``parts`` as closely as possible.

        Names are made safe. One that is taken, even in other capitals, gets a number: no two
        documents share a folder, and none lies within another's, of an earlier run either.

        Args:
            parts: names below the output folder.
            file: the document's; one that an earlier run read gets its folder of then.
            sha256: the file's, which identifies the owner of a folder that `folder_owners` lacks.
        """
        if sum(len(os.fsencode(part)) + 1 for part in parts) > _MAX_BYTES:
            parts = parts[-1:]
        file = folder_owners.identity(file)
        if own := self._earlier_folder(parts, file):
            return own
        parent: tuple[str, ...] = ()
        for end in range(1, len(parts)):
            parent = parts[:end]
            if parent not in self._folders:
                above = self._folders[parent[:-1]]
                self._folders[parent] = self._first_free(above, parent[-1], self._is_a_documents)
        above = self._folders[parent]
        return self._first_free(
            above, parts[-1], lambda folder: self._is_closed_to(folder, file, sha256)
        )

    def _earlier_folder(self, parts: tuple[str, ...], file: Path) -> Path | None:
        """Return the folder that an earlier run gave to a file under these names."""
        for folder in self._owned.get(file, ()):
            names = folder.relative_to(self._out).parts
            # Its file may be reached through another input than before, and so have other parents.
            fits = len(names) == len(parts) and all(map(_is_numbered, names, parts))
            key = self._key(folder)
            if not fits or key in self._taken or self._leaves_root(folder):
                continue
            for end in range(1, len(names)):
                self._folders.setdefault(parts[:end], self._out.joinpath(*names[:end]))
            self._taken.update(key[:end] for end in range(1, len(key) + 1))
            return folder
        return None

    def _first_free(self, above: Path, name: str, is_closed: Callable[[Path], bool]) -> Path:
        name = filenames.safe(name)
        number = 1
        folder = above / name
        while self._key(folder) in self._taken or self._leaves_root(folder) or is_closed(folder):
            number += 1
            folder = above / f"{name}-{number}"
        self._taken.add(self._key(folder))
        return folder

    def _is_a_documents(self, folder: Path) -> bool:
        return self._key(folder) in self._owners or os.path.lexists(folder / run_files.MANIFEST)

    def _is_closed_to(self, folder: Path, file: Path, sha256: str) -> bool:
        """Return True if a folder is another document's or user's, or may not have its name."""
        key = self._key(folder)
        if key in self._parents or key[-1] == _RESERVED_STEM:
            return True
        if key in self._owners:
            return self._owners[key] != file
        # The list of owners may be missing or damaged: the manifest identifies the content, not
        # the file.
        if os.path.lexists(folder / run_files.MANIFEST):
            return manifest.sha256_in(folder) != sha256
        return _is_a_users(folder)

    def _key(self, folder: Path) -> tuple[str, ...]:
        return tuple(filenames.collision_key(part) for part in folder.relative_to(self._out).parts)

    def _leaves_root(self, folder: Path) -> bool:
        """Return True if a symbolic link leads out of the output folder."""
        real = os.path.realpath(folder)
        return os.path.commonpath([real, self._root]) != self._root


def _is_a_users(folder: Path) -> bool:
    """Return True if a folder holds files and no ledger.

    With a ledger in it, later runs would take the user's own files for outputs.
    """
    has_ledger = (folder / run_files.LEDGER).exists()
    return folder.is_dir() and not has_ledger and any(folder.iterdir())


def _is_numbered(part: str, name: str) -> bool:
    """Return True if a folder has a document's name, with or without a number."""
    return re.fullmatch(rf"{re.escape(filenames.safe(name))}(-[0-9]+)?", part) is not None

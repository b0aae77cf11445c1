"""`places.json`: the file that owns each document's folder, so that later runs keep it."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dsk.control_characters import escaped_in_json
from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import read_regular, write_atomically
from dsk.frozen import Frozen
from dsk.ocr.schema.run_files import FOLDER_OWNERS
from dsk.ocr.schema.run_plan import AnyPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.ocr.schema.run_plan import Document


class _Content(Frozen):
    folders: dict[str, AnyPath]


def identity(file: Path) -> Path:
    """Return a path that is the same for a file however its folder is spelled."""
    return Path(os.path.realpath(file.parent), file.name)


def read(out: Path) -> dict[str, Path]:
    """Return the documents' folders that still exist, below ``out``, and the file of each.

    Empty where no run has written the list, or where it is damaged.
    """
    try:
        content = _Content.model_validate_json(read_regular(out / FOLDER_OWNERS))
    # A value that is no path makes `AnyPath` raise TypeError or KeyError.
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {
        name: file
        for name, file in content.folders.items()
        if is_below(name) and (out / name).is_dir()
    }


def is_below(name: str) -> bool:
    """Return True if a name leads to a folder below the one that it is joined to."""
    path = PurePath(name)
    return bool(path.parts) and not path.is_absolute() and os.pardir not in path.parts


def write(documents: Iterable[Document], out: Path) -> None:
    """Add the folders that a run is about to write to to those of earlier runs.

    Raises:
        UsageProblem: another run has taken one of them in the meantime.
    """
    owners = read(out)
    for document in documents:
        name = document.folder.relative_to(out).as_posix()
        file = identity(document.path)
        if owners.setdefault(name, file) != file:
            what = f"another run has just written to {printable(document.folder)}"
            raise UsageProblem(what, do="run the same command again")
    text = escaped_in_json(_Content(folders=owners).model_dump_json(indent=1))
    write_atomically(out / FOLDER_OWNERS, text + "\n")

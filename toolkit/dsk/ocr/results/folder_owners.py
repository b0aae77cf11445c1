"""`places.json`: which file each document's folder is of, so that no later run gives it away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import write_atomically
from dsk.ocr.schema.run_plan import AnyPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.ocr.schema.run_plan import Document

FILE: Final = "places.json"


class _Places(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: dict[str, AnyPath]


def identity(file: Path) -> Path:
    """What tells a file from others of its name: its folder's real path, and its own name."""
    return Path(os.path.realpath(file.parent), file.name)


def read(out: Path) -> dict[str, Path]:
    """The documents' folders that are there, by their places below ``out``, and their files.

    Nothing where no run has written it down, or where that is damaged.
    """
    try:
        found = _Places.model_validate_json((out / FILE).read_bytes())
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {place: file for place, file in found.folders.items() if (out / place).is_dir()}


def write(documents: Iterable[Document], out: Path) -> None:
    """Write down what folders a run is about to write to, beside those of earlier runs.

    Raises:
        UsageProblem: another run has taken one of them since they were chosen.
    """
    found = read(out)
    for document in documents:
        place = document.folder.relative_to(out).as_posix()
        file = identity(document.path)
        if found.setdefault(place, file) != file:
            what = f"another run has just written to {printable(document.folder)}"
            raise UsageProblem(what, do="run the same command again")
    write_atomically(out / FILE, _Places(folders=found).model_dump_json(indent=1) + "\n")

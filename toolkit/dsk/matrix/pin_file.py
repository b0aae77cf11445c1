"""Sizes and hashes of a model's files, written into `models.toml` beside all that people wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.errors import MatrixInvalid
from dsk.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def record(file: Path, model: str, pins: Mapping[str, tuple[int, str]]) -> None:
    """Replace the lines of a model's table of files; every other line stays.

    Args:
        file: ``models.toml``.
        model: the model's id.
        pins: size in bytes and SHA-256 of each file, by path.

    Raises:
        MatrixInvalid: the file has no such table.
    """
    lines = file.read_text("utf-8").splitlines()
    head = f"[{model}.files]"
    if head not in lines:
        what = f"{file} has no table {head}"
        raise MatrixInvalid(what, do="add it, with a line for each file")
    start = end = lines.index(head) + 1
    while end < len(lines) and lines[end].startswith('"'):
        end += 1
    lines[start:end] = [
        f'"{path}" = {{ size = {size:_}, sha256 = "{sha256}" }}'
        for path, (size, sha256) in sorted(pins.items())
    ]
    write_atomically(file, "\n".join(lines) + "\n")

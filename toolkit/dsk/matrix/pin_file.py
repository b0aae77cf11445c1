"""Pins of a model, written into `models.toml` beside all that people wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.errors import MatrixInvalid
from dsk.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def record(file: Path, model: str, commit: str, pins: Mapping[str, tuple[int, str]]) -> None:
    """Replace a model's revision and the lines of its table of files; every other line stays.

    Args:
        file: ``models.toml``.
        model: the model's id.
        commit: the revision that was fetched.
        pins: size in bytes and SHA-256 of each file, by path.

    Raises:
        MatrixInvalid: the file has no such tables.
    """
    lines = file.read_text("utf-8").splitlines()
    at = first = _after(file, lines, f"[{model}]")
    while at < len(lines) and not lines[at].startswith(("[", "revision =")):
        at += 1
    has_line = at < len(lines) and lines[at].startswith("revision =")
    # Without a line of its own it goes first.
    lines[at if has_line else first : at + 1 if has_line else first] = [f'revision = "{commit}"']
    start = end = _after(file, lines, f"[{model}.files]")
    while end < len(lines) and lines[end].startswith('"'):
        end += 1
    lines[start:end] = [
        f'"{path}" = {{ size = {size:_}, sha256 = "{sha256}" }}'
        for path, (size, sha256) in sorted(pins.items())
    ]
    write_atomically(file, "\n".join(lines) + "\n")


def _after(file: Path, lines: list[str], head: str) -> int:
    """Return the number of the line after the head of a table."""
    if head not in lines:
        what = f"{file} has no table {head}"
        raise MatrixInvalid(what, do="add it; the tables of the other models show its keys")
    return lines.index(head) + 1

"""The files that a run's inputs name: themselves, below folders, by patterns and in lists."""

from __future__ import annotations

import glob
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsk.errors import InputUnreadable, UsageProblem
from dsk.filenames import printable
from dsk.ocr.results import ledger
from dsk.ocr.schema import filetypes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dsk.ocr.schema.filetypes import Kind


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file, and the parts of the place that its name gives it below the output folder."""

    path: Path
    place: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """An input that stands for no file."""

    path: Path
    error: InputUnreadable


def walk(inputs: Iterable[Path], kind: Kind, out: Path) -> Iterator[Found | Missing]:
    """Every file that ``inputs`` name, in order.

    An input is a file, a folder, a pattern, ``@`` and a file that lists inputs, or ``-`` for such a
    list on standard input. Folders and patterns do not stand for what dsk wrote below ``out``: a
    folder there that holds a ledger is a document's outputs, and all else is the user's.

    Raises:
        UsageProblem: a list cannot be read.
    """
    for given in inputs:
        if str(given) == "-":
            for listed in _in_list(sys.stdin.buffer.read()):
                yield from _files(listed, kind, out)
        elif str(given).startswith("@") and not given.exists():
            for listed in _in_list(_list(Path(str(given)[1:]))):
                yield from _files(listed, kind, out)
        elif glob.has_magic(str(given)) and not os.path.lexists(given):
            yield from _matching(given, kind, out)
        else:
            yield from _files(given, kind, out)


def _files(given: Path, kind: Kind, out: Path) -> Iterator[Found | Missing]:
    if not _is_folder(given):
        yield Found(path=given, place=(given.stem,))
        return
    count = 0
    for file in _below(given, out):
        if filetypes.looks_like(file, kind):
            count += 1
            *folders, name = file.relative_to(given).parts
            yield Found(path=file, place=(*folders, Path(name).stem))
    if not count:
        what = f"there is no {'PDF file' if kind == 'pdf' else 'image'} in {printable(given)}"
        error = InputUnreadable(what, do="name a folder that has some, or the files")
        yield Missing(path=given, error=error)


def _below(folder: Path, out: Path) -> list[Path]:
    """The files below a folder, sorted; links to folders are not followed."""
    files = []
    for parent, folders, names in os.walk(folder):
        if _in_outputs(parent, out):
            folders.clear()
            continue
        files += [Path(parent, name) for name in names]
    return sorted(file for file in files if file.is_file())


def _in_outputs(folder: str | Path, out: Path) -> bool:
    """Whether a folder below ``out``, or one that it lies in there, holds a ledger."""
    return any(os.path.lexists(one / ledger.FILE) for one in _within(folder, out)[:-1])


def _within(folder: str | Path, out: Path) -> list[Path]:
    """A folder and those that it lies in, up to ``out``; none where it lies elsewhere."""
    root = Path(os.path.realpath(out))
    real = Path(os.path.realpath(folder))
    lines = (real, *real.parents)
    return list(lines[: lines.index(root) + 1]) if root in lines else []


def _matching(pattern: Path, kind: Kind, out: Path) -> Iterator[Found | Missing]:
    matches = sorted(Path(name) for name in glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - of any pattern, absolute ones too
    nothing = True
    for match in matches:
        for found in _matched(match, kind, out):
            nothing = False
            yield found
    if nothing:
        what = f"nothing matches {printable(pattern)}"
        error = InputUnreadable(what, do="check the pattern; what dsk wrote is left out")
        yield Missing(path=pattern, error=error)


def _matched(match: Path, kind: Kind, out: Path) -> Iterator[Found | Missing]:
    if not _is_folder(match):
        if not _in_outputs(match.parent, out):
            yield Found(path=match, place=(match.stem,))
        return
    for found in _files(match, kind, out):
        # That the output folder has nothing but outputs is nothing to complain of.
        if isinstance(found, Found) or not _within(match, out):
            yield found


def _list(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        what = f"the list {printable(file)} cannot be read ({error.strerror})"
        raise UsageProblem(what, do="name a file with one input a line after the @") from error


def _in_list(content: bytes) -> list[Path]:
    """The inputs of a list: one a line or, as ``find -print0`` writes them, one before each NUL."""
    end = b"\0" if b"\0" in content else b"\n"
    lines = (line.rstrip(b"\r") if end == b"\n" else line for line in content.split(end))
    return [Path(os.fsdecode(line)) for line in lines if line]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False

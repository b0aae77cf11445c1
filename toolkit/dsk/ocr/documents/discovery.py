"""Discover the files that a run's inputs stand for: files, folders, patterns and lists."""

from __future__ import annotations

import glob
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk import console
from dsk.errors import InputUnreadable, UsageProblem
from dsk.filenames import printable
from dsk.files import walk
from dsk.ocr.documents import standard_input
from dsk.ocr.schema import filetypes, run_files
from dsk.ocr.schema.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dsk.ocr.schema.filetypes import Wanted
    from dsk.ocr.schema.limits import Limits

# Kinds of files that a line on those left out names.
_MOST_KINDS: Final = 8
_WANTED: Final[dict[Wanted, str]] = {
    "any": "PDF file or image",
    "pdf": "PDF file",
    "image": "image",
}


@dataclass(frozen=True, kw_only=True)
class DiscoveredFile:
    """A file to read.

    Args:
        path: the file.
        parts: names of the output folder that it is to get, below that of the run.
        is_named: the user has named it, and not a folder or pattern that it belongs to.
    """

    path: Path
    parts: tuple[str, ...]
    is_named: bool = True


@dataclass(frozen=True, kw_only=True)
class MissingInput:
    """An input that stands for no file, and the reason."""

    path: Path
    error: InputUnreadable


def discover(
    inputs: Iterable[Path], kind: Wanted, out: Path, limits: Limits = DEFAULT_LIMITS
) -> Iterator[DiscoveredFile | MissingInput]:
    """Yield the files that ``inputs`` stand for, in order.

    An input is a file, a folder, a pattern, ``@LIST`` (a file with one input a line), or ``-`` for
    a document or such a list on standard input; a document is kept as a file in ``out``. From
    folders and patterns everything is left out that an earlier run wrote below ``out``: a folder
    there that holds a ledger is a document's outputs.

    Raises:
        UsageProblem: a list cannot be read.
    """
    for given in inputs:
        if str(given) == "-":
            yield from _standard_input(kind, out, limits)
        elif str(given).startswith("@") and not given.exists():
            for listed in standard_input.parse_list(_read_list(Path(str(given)[1:]))):
                yield from _expand(listed, kind, out)
        elif glob.has_magic(str(given)) and not os.path.lexists(given):
            yield from _expand_pattern(given, kind, out)
        else:
            yield from _expand(given, kind, out)


def _standard_input(
    kind: Wanted, out: Path, limits: Limits
) -> Iterator[DiscoveredFile | MissingInput]:
    try:
        found = standard_input.read(out, limits)
    except InputUnreadable as error:
        yield MissingInput(path=Path("-"), error=error)
        return
    for listed in [found] if isinstance(found, Path) else found:
        yield from _expand(listed, kind, out)


def _expand(given: Path, kind: Wanted, out: Path) -> Iterator[DiscoveredFile | MissingInput]:
    """Yield a file itself, or the files of a kind below a folder."""
    if not _is_folder(given):
        yield DiscoveredFile(path=given, parts=(given.stem,))
        return
    count = 0
    files, unlisted, odd = _files_below(given, out)
    for folder, reason in unlisted:
        # Otherwise their documents would be missing, and nobody would know.
        count += 1
        error = InputUnreadable(
            f"the folder {printable(folder)} cannot be listed ({reason})",
            do="check its permissions",
        )
        yield MissingInput(path=folder, error=error)
    for file in files:
        if filetypes.looks_like(file, kind):
            count += 1
            *folders, name = file.relative_to(given).parts
            parts = (*folders, Path(name).stem)
            yield DiscoveredFile(path=file, parts=parts, is_named=False)
        else:
            odd[file.suffix.lower() or "without a suffix"] += 1
    if odd:
        console.warn(_left_out(given, kind, odd))
    if not count:
        what = f"there is no {_WANTED[kind]} in {printable(given)}"
        error = InputUnreadable(what, do="name a folder that has some, or the files")
        yield MissingInput(path=given, error=error)


def _left_out(folder: Path, kind: Wanted, odd: Counter[str]) -> str:
    """Return a line on what is below a folder and not read, with a count by kind."""
    common = odd.most_common(_MOST_KINDS)
    kinds = [f"{count} {printable(name)}" for name, count in common]
    if others := odd.total() - sum(count for _, count in common):
        kinds.append(f"{others} of other kinds")
    number = "1 entry" if odd.total() == 1 else f"{odd.total()} entries"
    what = f"{number} of the folder {printable(folder)} left out, no {_WANTED[kind]}"
    return f"{what}: {', '.join(kinds)}"


def _files_below(
    folder: Path, out: Path
) -> tuple[list[Path], list[tuple[Path, str]], Counter[str]]:
    """Return the files below a folder, sorted, without following links to folders.

    Returns:
        The files; the folders that cannot be listed, each with the reason; and how many entries of
        each other kind there are.
    """
    files = []
    odd: Counter[str] = Counter()
    unlisted: list[tuple[Path, str]] = []

    def on_error(error: OSError) -> None:
        unlisted.append((Path(error.filename), str(error.strerror)))

    for parent, folders, names in walk(folder, on_error):
        if _is_in_outputs(parent, out):
            folders.clear()
            continue
        files += [parent / name for name in names]
        odd["link to a folder"] += sum((parent / name).is_symlink() for name in folders)
    regular = sorted(file for file in files if _is_file(file))
    others = set(files).difference(regular)
    dangling = sum(not file.exists() for file in others)
    odd["link that leads nowhere"] += dangling
    odd["pipe, socket or device"] += len(others) - dangling
    return regular, unlisted, +odd


def _is_in_outputs(folder: str | Path, out: Path) -> bool:
    """Return True if a folder, or one between it and ``out``, holds a ledger."""
    # Without the last, ``out`` itself, which is no document's folder.
    between = _up_to(folder, out)[:-1]
    return any(os.path.lexists(parent / run_files.LEDGER) for parent in between)


def _up_to(folder: str | Path, out: Path) -> list[Path]:
    """Return a folder and its parents up to ``out``; nothing for a folder outside ``out``."""
    # Resolved: an input may lead below ``out`` through a symbolic link.
    root = Path(os.path.realpath(out))
    real = Path(os.path.realpath(folder))
    line = (real, *real.parents)
    return list(line[: line.index(root) + 1]) if root in line else []


def _expand_pattern(
    pattern: Path, kind: Wanted, out: Path
) -> Iterator[DiscoveredFile | MissingInput]:
    matches = sorted(Path(name) for name in glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - of any pattern, absolute ones too
    is_empty = True
    for match in matches:
        for item in _expand_match(match, kind, out):
            is_empty = False
            yield item
    if is_empty:
        what = f"nothing matches {printable(pattern)}"
        error = InputUnreadable(what, do="check the pattern; what dsk wrote is left out")
        yield MissingInput(path=pattern, error=error)


def _expand_match(match: Path, kind: Wanted, out: Path) -> Iterator[DiscoveredFile | MissingInput]:
    if not _is_folder(match):
        if not _is_in_outputs(match.parent, out):
            yield DiscoveredFile(path=match, parts=(match.stem,), is_named=False)
        return
    for item in _expand(match, kind, out):
        # A pattern may match the output folder itself, which rightly holds nothing to read.
        if isinstance(item, DiscoveredFile) or not _up_to(match, out):
            yield item


def _read_list(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        what = f"the list {printable(file)} cannot be read ({error.strerror})"
        raise UsageProblem(what, do="name a file with one input a line after the @") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may be listed and not entered: opening it says so
        return True


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False

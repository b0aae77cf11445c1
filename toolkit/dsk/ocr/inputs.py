"""The documents of a run: found, opened and checked before any model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsk.errors import InputUnreadable
from dsk.ocr import pages as page_ranges
from dsk.ocr.job import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def documents(inputs: Iterable[Path], out: Path, *, pages: str) -> list[Document]:
    """The documents that ``inputs`` name, each with its pages and a folder of its own.

    A folder stands for the PDF files below it, in the order of their names; their places below
    ``out`` mirror it.

    Args:
        pages: ranges of pages, as `dsk.ocr.pages.chosen` takes them.

    Raises:
        InputUnreadable: an input is missing, is not a PDF, is empty, damaged or encrypted.
        UsageProblem: pages that a document has not.
    """
    found: list[Document] = []
    taken: set[Path] = set()
    for file, place in _files(inputs):
        count = _page_count(file)
        folder = _free(out / place, taken)
        taken.add(folder)
        chosen = page_ranges.chosen(pages, count, name=str(file))
        found.append(Document(path=file, folder=folder, page_count=count, pages=chosen))
    return found


def _files(inputs: Iterable[Path]) -> Iterable[tuple[Path, Path]]:
    """Each file, and its folder's place below the output folder."""
    for given in inputs:
        if given.is_dir():
            inside = _pdfs_below(given)
            if not inside:
                what = f"there is no PDF file in {given}"
                raise InputUnreadable(what, do="name a folder that has some, or the files")
            for file in inside:
                yield file, file.relative_to(given).with_suffix("")
        elif given.exists():
            yield given, Path(given.stem)
        else:
            what = f"there is no file {given}"
            raise InputUnreadable(what, do="check the path")


def _pdfs_below(folder: Path) -> Sequence[Path]:
    return sorted(
        file for file in folder.rglob("*") if file.suffix.lower() == ".pdf" and file.is_file()
    )


def _page_count(file: Path) -> int:
    _see_that_it_is_a_pdf(file)
    import pymupdf

    # What is wrong is said in our words: MuPDF's own go to stderr otherwise.
    pymupdf.TOOLS.mupdf_display_errors(False)
    try:
        with pymupdf.open(file, filetype="pdf") as document:
            if document.needs_pass:
                what = f"{file} is encrypted"
                raise InputUnreadable(what, do="save it without its password first")
            count: int = document.page_count
    except pymupdf.FileDataError as error:
        what = f"{file} is not a PDF file, or too damaged to open"
        raise InputUnreadable(what, do="open it in a viewer and export it as PDF again") from error
    if count == 0:
        what = f"{file} has no pages"
        raise InputUnreadable(what, do="get the file again")
    return count


def _see_that_it_is_a_pdf(file: Path) -> None:
    """By content, not by name; readers look for the header in the first 1024 bytes."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1024)
    except OSError as error:
        what = f"{file} cannot be read ({error.strerror})"
        raise InputUnreadable(what, do="check its permissions") from error
    if not head:
        what = f"{file} is empty"
        raise InputUnreadable(what, do="get the file again")
    if b"%PDF-" not in head:
        what = f"{file} is not a PDF file"
        raise InputUnreadable(what, do="convert it to PDF first")


def _free(wanted: Path, taken: set[Path]) -> Path:
    """A folder that no other document of the run has: two of one name get numbers."""
    folder, number = wanted, 1
    while folder in taken:
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder

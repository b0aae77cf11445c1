"""The documents of a run: each opened and checked before any model is loaded.

What is wrong with one never keeps the others from being read.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsk.errors import DskError, InputUnreadable, UsageProblem
from dsk.filenames import printable
from dsk.ocr.documents import page_ranges, passwords
from dsk.ocr.documents.base import InputRefused
from dsk.ocr.documents.discovery import Missing, walk
from dsk.ocr.documents.validation import Checker
from dsk.ocr.results import output_folders
from dsk.ocr.schema.limits import DEFAULT_LIMITS, Limits
from dsk.ocr.schema.run_plan import Document, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.ocr.documents.discovery import Found
    from dsk.ocr.schema.filetypes import Kind


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How inputs are to be taken.

    Args:
        kind: what a folder stands for: the PDF files or the images below it. Files that are named
            are taken for what they are.
        pages: ranges of pages, as `dsk.ocr.documents.page_ranges.chosen` takes them.
        password_file: its first line opens what is encrypted.
    """

    kind: Kind = "pdf"
    pages: str = "1-end"
    password_file: Path | None = None
    limits: Limits = DEFAULT_LIMITS


def find(inputs: Iterable[Path], out: Path, wish: Wish) -> tuple[list[Document], list[Rejected]]:
    """The documents that ``inputs`` name, each with its pages and a folder of its own.

    Their places below ``out`` mirror theirs below the folders that were named.

    Raises:
        UsageProblem: the pages, a list or the password file are not what they should be.
        DskError: nothing at all can be read; the error is the first input's.
    """
    page_ranges.see_that_it_is_a_range(wish.pages)
    if wish.password_file:
        passwords.password_in(wish.password_file)
    places = output_folders.Places(out)
    documents: list[Document] = []
    rejected: list[Rejected] = []
    first: DskError | None = None
    seen: set[Path] = set()
    with Checker(wish.limits, wish.password_file) as checker:
        for found in walk(inputs, wish.kind, out):
            try:
                if isinstance(found, Missing):
                    raise found.error
                real = Path(os.path.realpath(found.path))
                if real in seen:
                    continue
                seen.add(real)
                documents.append(_document(found, places, wish, checker))
            except (InputUnreadable, UsageProblem) as error:
                first = first or error
                rejected.append(_rejected(found.path, error))
    if not documents:
        raise first or UsageProblem("the list of inputs is empty", do="name some")
    return documents, rejected


def _document(
    found: Found, places: output_folders.Places, wish: Wish, checker: Checker
) -> Document:
    checked = checker.check(found.path)
    sha256 = _sha256(found.path)
    chosen = page_ranges.chosen(wish.pages, checked.page_count, name=printable(found.path))
    return Document(
        path=found.path,
        folder=places.of(found.place, found.path, sha256),
        kind=checked.kind,
        page_count=checked.page_count,
        pages=chosen,
        sha256=sha256,
        password_file=wish.password_file and wish.password_file.absolute(),
    )


def _rejected(path: Path, error: DskError) -> Rejected:
    refused = isinstance(error, InputRefused)
    return Rejected(path=path, status="refused" if refused else "unreadable", reason=str(error))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

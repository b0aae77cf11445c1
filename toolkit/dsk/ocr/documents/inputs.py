"""Resolve the inputs of a run to documents, each opened and checked before a model is loaded.

An input that cannot be read is rejected with a reason; the others are read all the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dsk import own_image
from dsk.errors import DskError, InputUnreadable, UsageProblem
from dsk.filenames import printable
from dsk.ocr.documents import page_ranges, passwords
from dsk.ocr.documents.base import InputRefused
from dsk.ocr.documents.discovery import MissingInput, discover
from dsk.ocr.documents.input_file import InputChanged, InputFile
from dsk.ocr.documents.validation import Validator
from dsk.ocr.schema.limits import DEFAULT_LIMITS, Limits
from dsk.ocr.schema.run_plan import Document, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.ocr.documents.discovery import DiscoveredFile
    from dsk.ocr.documents.input_file import Stamp
    from dsk.ocr.schema.filetypes import Wanted


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Options that choose documents and pages among the inputs.

    Args:
        kind: the files to take from a folder: PDFs, images, or both. A file that is named itself
            is taken whatever its kind.
        pages: ranges of pages; see `dsk.ocr.documents.page_ranges.resolve`.
        password_file: its first line is the password of encrypted documents.
        limits: files beyond them are refused.
    """

    kind: Wanted = "any"
    pages: str = "1-end"
    password_file: Path | None = None
    limits: Limits = DEFAULT_LIMITS


class FolderAllocator(Protocol):
    """Chooses the output folder of each document; see `OutputFolders` in `dsk.ocr.results`."""

    def __call__(self, parts: tuple[str, ...], file: Path, sha256: str) -> Path:
        """Return a folder below the output folder, named after ``parts`` where that is free."""


def resolve(
    inputs: Iterable[Path], out: Path, options: InputOptions, allocate: FolderAllocator
) -> tuple[list[Document], list[Rejected]]:
    """Return the documents that ``inputs`` stand for, and the inputs that cannot be read.

    Args:
        inputs: files, folders, patterns and lists; see `dsk.ocr.documents.discovery.discover`.
        out: the output folder; what an earlier run wrote there is not read.
        options: what to take of the inputs.
        allocate: chooses the output folder of each document.

    Raises:
        UsageProblem: the page ranges, a list or the password file is not valid.
        DskError: no input can be read; the error is that of the first.
    """
    # Mistakes that concern every document come first: opening them all may take minutes.
    page_ranges.validate(options.pages)
    if options.password_file:
        passwords.read_password(options.password_file)
    documents: list[Document] = []
    rejected: list[Rejected] = []
    first_error: DskError | None = None
    seen: set[Path] = set()
    with Validator(options.limits, options.password_file) as validator:
        for item in discover(inputs, options.kind, out, options.limits):
            try:
                if isinstance(item, MissingInput):
                    raise item.error
                # A file may be given twice: by its name, by its folder, through a link.
                real = Path(os.path.realpath(item.path))
                if real in seen:
                    continue
                seen.add(real)
                documents.append(_document(item, allocate, options, validator))
            except (InputUnreadable, UsageProblem) as error:
                first_error = first_error or error
                rejected.append(_rejected(item.path, error))
    if not documents:
        raise first_error or UsageProblem("the list of inputs is empty", do="name some inputs")
    return documents, rejected


def _document(
    file: DiscoveredFile, allocate: FolderAllocator, options: InputOptions, validator: Validator
) -> Document:
    before = _stamp(file.path)
    valid = validator.validate(file.path)
    try:
        with InputFile(file.path) as opened:
            sha256, stamp = opened.sha256(), opened.stamp()
    except OSError as error:
        what = f"{printable(file.path)} cannot be read ({error.strerror})"
        raise InputUnreadable(what, do=_how_to_read(file.path, error)) from error
    # The pages that were counted are those of the bytes that were hashed.
    if stamp != before:
        raise InputChanged(file.path)
    pages = page_ranges.resolve(
        options.pages,
        valid.page_count,
        name=printable(file.path),
        may_be_short=not file.is_named,
    )
    return Document(
        path=file.path,
        folder=allocate(file.parts, file.path, sha256),
        kind=valid.kind,
        page_count=valid.page_count,
        pages=pages,
        sha256=sha256,
        stamp=stamp,
        password_file=options.password_file and options.password_file.absolute(),
    )


def _how_to_read(file: Path, error: OSError) -> str:
    """Return what to do about a file that cannot be opened; in a container it may not be there."""
    if not isinstance(error, FileNotFoundError):
        return own_image.advice("check its permissions")
    return own_image.advice("check its path", *own_image.mount_of(file.parent))


def _rejected(path: Path, error: DskError) -> Rejected:
    refused = isinstance(error, InputRefused)
    return Rejected(path=path, status="refused" if refused else "unreadable", reason=str(error))


def _stamp(file: Path) -> Stamp | None:
    try:
        with InputFile(file) as opened:
            return opened.stamp()
    except (OSError, ValueError):  # validation says what is wrong with it
        return None

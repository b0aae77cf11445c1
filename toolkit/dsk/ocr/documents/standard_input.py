"""The input `-`: a document on standard input, or a list of inputs there."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.errors import InputUnreadable
from dsk.files import writing_atomically
from dsk.ocr.documents.base import InputRefused
from dsk.ocr.schema import filetypes

if TYPE_CHECKING:
    from dsk.ocr.schema.limits import Limits

_BLOCK: Final = 1 << 20
# A document up to this size is not written twice.
_IN_MEMORY: Final = 64 << 20
# The longest path that Linux opens; no entry of a list is longer.
_MAX_PATH: Final = 4096
_HEAD: Final = max(filetypes.HEAD_BYTES, _MAX_PATH + 1)


def read(out: Path, limits: Limits) -> Path | list[Path]:
    """Read standard input: keep a document as a file in ``out``, or return the inputs of a list.

    The copy is named after the hash of its bytes, so that the same document, piped in again,
    resumes where an earlier run ended.

    Raises:
        InputUnreadable: it is neither, or the document is larger than the limits allow.
        UsageProblem: ``out`` cannot be written to.
    """
    stream = sys.stdin.buffer
    head = stream.read(_HEAD)
    kind = filetypes.recognised(head[: filetypes.HEAD_BYTES])
    if kind is None:
        if _is_no_list(head):
            what = "standard input is neither a PDF file or an image nor a list of paths"
            raise InputUnreadable(what, do="pipe in a document, or one path a line")
        return parse_list(head + stream.read())
    digest, size, most = hashlib.sha256(), 0, limits.max_file_mb * 1_000_000
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        block = head
        while block:
            size += len(block)
            if size > most:
                what = f"standard input has more than {limits.max_file_mb} MB"
                raise InputRefused(what, limit="max_file_mb")
            digest.update(block)
            spool.write(block)
            block = stream.read(_BLOCK)
        spool.seek(0)
        suffix = ".pdf" if kind == "pdf" else ""
        file = out / f"stdin-{digest.hexdigest()[:12]}{suffix}"
        # An earlier run's copy stays: its stamp is part of what that run has recorded.
        if not _holds(file, digest.hexdigest()):
            with writing_atomically(file) as copy:
                shutil.copyfileobj(spool, copy, _BLOCK)
    return file


def _holds(file: Path, sha256: str) -> bool:
    """Return True if a file is there and has this hash."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256


def parse_list(content: bytes) -> list[Path]:
    """Return the inputs of a list: one a line or, as ``find -print0`` writes, NUL-terminated."""
    end = b"\0" if b"\0" in content else b"\n"
    lines = (line.rstrip(b"\r") if end == b"\n" else line for line in content.split(end))
    return [Path(os.fsdecode(line)) for line in lines if line]


def _is_no_list(head: bytes) -> bool:
    """Return True if bytes are no list of paths: the first entry is too long, or is no text."""
    first = head.split(b"\0" if b"\0" in head else b"\n", 1)[0].rstrip(b"\r")
    if len(first) >= _MAX_PATH or not first.strip():
        return bool(head.strip())
    # A name may hold any byte: one that is there is one, whatever it looks like.
    has_controls = any(byte < 0x20 and byte != 0x09 for byte in first)
    return has_controls and not os.path.lexists(first)

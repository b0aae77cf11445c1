"""The ledger of a document: one line for each page that has ended, on disk before the next.

``pages.jsonl`` is only ever appended to. Each line carries its own checksum, so what a crash or a
full disk left half-written is known for what it is; and a key, so a line counts only for the input
and the settings that it was read with. Of several lines for one page the last one counts.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Self

from pydantic import ValidationError

from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.ocr.schema.page_record import How, PageRecord, Status
from dsk.ocr.schema.run_files import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NONE: Final = -1
"""The offset of a page that has no record."""

_SEAL: Final = b',"crc32":"%08x"}\n'
_SEAL_LENGTH: Final = len(_SEAL % 0)


def page_key(input_sha256: str, page: int, settings: str) -> str:
    """The key of a page's record.

    Args:
        input_sha256: of the document's file.
        page: 1-based.
        settings: a hash of all else that the result follows from.
    """
    return hashlib.sha256(f"{input_sha256}:{page}:{settings}".encode()).hexdigest()


def sealed(record: PageRecord) -> bytes:
    """A record as a line with its checksum, which is that of all before it."""
    body = record.model_dump_json().encode()[:-1]
    return body + _SEAL % zlib.crc32(body)


def unsealed(line: bytes) -> PageRecord | None:
    """The record in a line; None where the line is not whole."""
    body, seal = line[:-_SEAL_LENGTH], line[-_SEAL_LENGTH:]
    if seal != _SEAL % zlib.crc32(body):
        return None
    try:
        return PageRecord.model_validate_json(body + b"}")
    except ValidationError:  # of another version of dsk
        return None


@dataclass(frozen=True)
class Ended:
    """What is kept in memory of a page's record: where it is, and what it comes to."""

    offset: int
    status: Status
    how: How
    attempts: int
    tokens: int
    limits: dict[str, int]
    fingerprint: bytes
    """Of all that the outputs follow from: everything but the timings."""


class Ledger:
    """The ledger of one document, open and locked. A context manager: leaving it closes the file.

    Args:
        folder: the document's folder, which is there.
        keys: the key of each page.
        anew: take nothing over from an earlier run.

    Raises:
        UsageProblem: another run has it, or the disk does not take it.
    """

    def __init__(self, folder: Path, keys: dict[int, str], *, anew: bool = False) -> None:
        self._file = folder / LEDGER
        self._anew = anew
        self.ended: dict[int, Ended] = {}
        """Each page that has ended."""
        try:
            self._stream: IO[bytes] = self._file.open("a+b")
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if anew:
                self._stream.truncate(0)
            self._take_over(keys)
        except BlockingIOError as error:
            self._stream.close()
            what = f"another run writes to {printable(folder)}"
            raise UsageProblem(what, do="wait for it, or name another folder with -o") from error
        except OSError as error:
            raise self._refused(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def append(self, record: PageRecord) -> None:
        """Write a record and wait until the disk has it.

        Raises:
            UsageProblem: it has not.
        """
        self.ensure_exists()
        try:
            offset = self._stream.seek(0, os.SEEK_END)
            self._write(sealed(record))
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise self._refused(error) from error
        self.ended[record.page] = _ended(record, offset)

    def ensure_exists(self) -> None:
        """See that it was not removed: a file that is gone takes lines and keeps none.

        Raises:
            UsageProblem: it was.
        """
        try:
            if not os.path.samestat(self._file.stat(), os.fstat(self._stream.fileno())):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except OSError as error:
            raise self._refused(error) from error

    def fingerprint(self, pages: Iterable[int]) -> str:
        """A hash of all that the outputs of these pages, which have ended, follow from."""
        whole = hashlib.sha256()
        for page in pages:
            whole.update(self.ended[page].fingerprint)
        return whole.hexdigest()

    def _take_over(self, keys: dict[int, str]) -> None:
        self._stream.seek(0)
        offset = 0
        line = b""
        for line in self._stream:
            record = unsealed(line)
            if record is not None and keys.get(record.page) == record.key:
                self.ended[record.page] = _ended(record, offset)
            offset += len(line)
        if line and not line.endswith(b"\n"):
            self._write(b"\n")  # what comes next begins a line of its own

    def _write(self, line: bytes) -> None:
        # Past the stream's buffer: what a full disk has refused would be left in it, and closing
        # would try to write it again.
        while line:
            line = line[os.write(self._stream.fileno(), line) :]

    def _refused(self, error: OSError) -> UsageProblem:
        what = f"{printable(self._file)} cannot be written ({error.strerror})"
        return UsageProblem(what, do=f"mend that, then {resume_hint(overwrite=self._anew)}")


def resume_hint(*, overwrite: bool) -> str:
    """What to do for a run that ended early, so that what it has read is not read again.

    Args:
        overwrite: whether the run was to read everything anew, as the same command would once more.
    """
    without = " without --overwrite" if overwrite else ""
    return f"run the same command again{without} to go on"


def records(folder: Path, offsets: Iterable[int]) -> Iterator[PageRecord]:
    """The records that begin at these offsets of a folder's ledger, one in memory at a time.

    Args:
        offsets: where some are `NONE`, they are those of all pages from the first on, and the pages
            without a record were not asked for.
    """
    with (folder / LEDGER).open("rb") as stream:
        for page, offset in enumerate(offsets, start=1):
            if offset == NONE:
                yield PageRecord(page=page, status=Status.SKIPPED)
                continue
            stream.seek(offset)
            record = unsealed(stream.readline())
            assert record is not None, "the ledger changed while it was read"
            yield record


def read(folder: Path) -> Iterator[PageRecord]:
    """Every whole line of a folder's ledger, whatever it was read with, as they were written."""
    with (folder / LEDGER).open("rb") as stream:
        for line in stream:
            if (record := unsealed(line)) is not None:
                yield record


def _ended(record: PageRecord, offset: int) -> Ended:
    lasting = record.model_dump_json(exclude={"timings"}).encode()
    return Ended(
        offset=offset,
        status=record.status,
        how=record.how,
        attempts=len(record.attempts),
        tokens=record.tokens,
        limits=record.limits,
        fingerprint=hashlib.sha256(lasting).digest()[:16],
    )

"""The ledger of a document: one line for each finished page, flushed to disk before the next.

``pages.jsonl`` is append-only. Each line has a checksum, which shows what a crash or a full disk
left half-written, and a key, so that a line counts only for the input and the settings that it was
read with. Of several lines for one page the last one counts.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Self

from pydantic import ValidationError

from dsk.control_characters import escaped_in_json
from dsk.errors import UsageProblem
from dsk.file_lock import LockHeldError, locked
from dsk.filenames import printable
from dsk.files import open_folder, open_regular, sync_folder
from dsk.ocr.schema.page_record import WHOLE, How, PageRecord, Status
from dsk.ocr.schema.run_files import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# The offset of a page that has no record.
NONE: Final = -1

_CHECKSUM: Final = b',"crc32":"%08x"}\n'
_CHECKSUM_LENGTH: Final = len(_CHECKSUM % 0)
# Bytes of a line: a text layer of 4 million characters, each as an escape.
_MAX_LINE: Final = 64 << 20
# Bytes of a ledger: 50,000 pages of 300 KB. One that somebody prepared may have terabytes of holes.
_MAX_LEDGER: Final = 16 << 30


def page_key(input_sha256: str, page: int, settings: str) -> str:
    """Return the key of a page's record.

    Args:
        input_sha256: of the document's file.
        page: 1-based.
        settings: the hash of everything else that the result depends on.
    """
    return hashlib.sha256(f"{input_sha256}:{page}:{settings}".encode()).hexdigest()


def encode(record: PageRecord) -> bytes:
    """Return a record as a line that ends with the checksum of everything before it."""
    body = escaped_in_json(record.model_dump_json()).encode()[:-1]
    return body + _CHECKSUM % zlib.crc32(body)


def decode(line: bytes) -> PageRecord | None:
    """Return the record of a line; None for a line that is incomplete or damaged."""
    body, checksum = line[:-_CHECKSUM_LENGTH], line[-_CHECKSUM_LENGTH:]
    if checksum != _CHECKSUM % zlib.crc32(body):
        return None
    try:
        return PageRecord.model_validate_json(body + b"}")
    except ValidationError:  # written by another version of dsk
        return None


@dataclass(frozen=True)
class LedgerEntry:
    """Index entry of a record: its offset in the file, and what is needed of it in memory."""

    offset: int
    status: Status
    reason: str
    """Of a page that did not come out whole; of others it is empty, to save memory."""
    how: How
    attempts: int
    tokens: int
    limits: dict[str, int]
    is_interrupted: bool
    fingerprint: bytes
    """Hash of everything that outputs depend on: the record without its timings."""


class Ledger:
    """The ledger of one document, open and locked. A context manager that closes the file.

    Args:
        folder: the document's folder, which is created if it is missing.
        keys: the key of each page.
        overwrite: drop the records of earlier runs.
        beneath: the output folder; no folder between it and the document's may be a link.

    Raises:
        UsageProblem: another run has locked it, or the file cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        keys: dict[int, str],
        *,
        overwrite: bool = False,
        beneath: Path | None = None,
    ) -> None:
        self._file = folder / LEDGER
        self._overwrite = overwrite
        self.entries: dict[int, LedgerEntry] = {}
        """The entry of each page that has a record with its key."""
        self._opened = contextlib.ExitStack()
        try:
            self._stream = os.fdopen(self._open(folder, beneath), "a+b")
            self._opened.callback(self._stream.close)
            self._opened.enter_context(locked(self._stream.fileno(), self._file))
            if overwrite:
                self._stream.truncate(0)
            self._index(keys)
        except LockHeldError as error:
            self._opened.close()
            what = f"another run writes to {printable(folder)} ({error})"
            raise UsageProblem(what, do="wait for it, or name another folder with -o") from error
        except OSError as error:
            self._opened.close()
            raise self._unwritable(error) from error
        except UsageProblem:
            self._opened.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def _open(self, folder: Path, beneath: Path | None) -> int:
        descriptor = open_folder(folder, beneath, create=True)
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            file = open_regular(self._file, flags, folder=descriptor)
            # Pages that are on the disk are lost all the same if the file's name is not.
            sync_folder(descriptor)
        finally:
            os.close(descriptor)
        return file

    def append(self, record: PageRecord) -> None:
        """Write a record and wait until the disk has it.

        Raises:
            UsageProblem: it cannot be written.
        """
        self.extend([record])

    def extend(self, records: Iterable[PageRecord]) -> None:
        """Write records and wait once until the disk has them.

        Raises:
            UsageProblem: they cannot be written.
        """
        self.ensure_exists()
        entries = {}
        try:
            for record in records:
                offset = self._stream.seek(0, os.SEEK_END)
                self._write(encode(record))
                entries[record.page] = _entry(record, offset)
            # A page that is reported as done must survive a power cut.
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        self.entries |= entries

    def discard_appended(self) -> None:
        """Drop the records that were appended since the ledger was opened.

        Raises:
            UsageProblem: it cannot be written to.
        """
        self.ensure_exists()
        try:
            self._stream.truncate(self._length)
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def ensure_exists(self) -> None:
        """Check that nobody has removed or replaced the file.

        Raises:
            UsageProblem: it is another file, or none.
        """
        # Writing to a removed file succeeds, and keeps nothing.
        try:
            if not os.path.samestat(self._file.lstat(), os.fstat(self._stream.fileno())):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except OSError as error:
            raise self._unwritable(error) from error

    def fingerprint(self, pages: Iterable[int]) -> str:
        """Return a hash of everything that the outputs of these finished pages depend on."""
        digest = hashlib.sha256()
        for page in pages:
            digest.update(self.entries[page].fingerprint)
        return digest.hexdigest()

    def _index(self, keys: dict[int, str]) -> None:
        """Read the records of earlier runs."""
        self._stream.seek(0)
        offset = 0
        line = b""
        for line in _lines(self._stream):
            record = decode(line)
            if record is not None and keys.get(record.page) == record.key:
                self.entries[record.page] = _entry(record, offset)
            offset += len(line)
        if line and not line.endswith(b"\n"):
            # A crash left half a line: the next record must begin a line of its own.
            self._write(b"\n")
        self._length = self._stream.seek(0, os.SEEK_END)

    def _write(self, line: bytes) -> None:
        # Not through the stream's buffer: bytes that a full disk refused would stay in it, and
        # close() would try to write them again.
        while line:
            line = line[os.write(self._stream.fileno(), line) :]

    def _unwritable(self, error: OSError) -> UsageProblem:
        what = f"{printable(self._file)} cannot be written ({error.strerror})"
        return UsageProblem(what, do=f"fix that, then {resume_hint(overwrite=self._overwrite)}")


def resume_hint(*, overwrite: bool) -> str:
    """Return advice on resuming a run that ended early without reading its pages again.

    Args:
        overwrite: the run was started with ``--overwrite``, which would discard them.
    """
    without = " without --overwrite" if overwrite else ""
    return f"run the same command again{without} to continue"


def read_at(folder: Path, offsets: Iterable[int]) -> Iterator[PageRecord]:
    """Yield the records at these offsets of a folder's ledger, one in memory at a time.

    Args:
        offsets: if some are `NONE`, they belong to all pages from the first one on, and a page
            without a record is yielded as skipped.
    """
    with os.fdopen(open_regular(folder / LEDGER, os.O_RDONLY), "rb") as stream:
        for page, offset in enumerate(offsets, start=1):
            if offset == NONE:
                yield PageRecord(page=page, status=Status.SKIPPED)
                continue
            stream.seek(offset)
            record = decode(stream.readline(_MAX_LINE))
            assert record is not None, "the ledger changed while it was read"
            yield record


def read(folder: Path) -> Iterator[PageRecord]:
    """Yield every complete record of a folder's ledger in file order, whatever its key."""
    with os.fdopen(open_regular(folder / LEDGER, os.O_RDONLY), "rb") as stream:
        for line in _lines(stream):
            if (record := decode(line)) is not None:
                yield record


def has_records(folder: Path) -> bool:
    """Return True if a document's folder has a ledger with the record of a page."""
    try:
        return next(read(folder), None) is not None
    except OSError:
        return False


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a ledger; one that is too long for a record comes in pieces.

    Raises:
        OSError: it is too large for a ledger.
    """
    if os.fstat(stream.fileno()).st_size > _MAX_LEDGER:
        raise OSError(errno.EFBIG, "it is too large for what it should be")
    while line := stream.readline(_MAX_LINE):
        yield line


def _entry(record: PageRecord, offset: int) -> LedgerEntry:
    lasting = record.model_dump_json(exclude={"timings"}).encode()
    return LedgerEntry(
        offset=offset,
        status=record.status,
        reason="" if record.status in WHOLE else record.reason,
        how=record.how,
        attempts=len(record.attempts),
        tokens=record.tokens,
        limits=record.limits,
        is_interrupted=record.is_interrupted,
        fingerprint=hashlib.sha256(lasting).digest()[:16],
    )

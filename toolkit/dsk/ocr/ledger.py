"""The ledger of a document: one line for each page, with its one final state and why."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.record import PageRecord


class Ledger:
    """Appends records to a file, each on disk before the next is taken."""

    def __init__(self, file: Path) -> None:
        self._stream: IO[str] = file.open("w", encoding="utf-8")

    def append(self, record: PageRecord) -> None:
        """Write a record and wait until the disk has it."""
        self._stream.write(record.model_dump_json() + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Take no more records."""
        self._stream.close()

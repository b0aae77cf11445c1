"""The ledger of a document: one line for each page, with its one final state and why."""

from __future__ import annotations

import enum
import os
from typing import IO, TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path


class Status(enum.StrEnum):
    """How a page ended."""

    OK = "ok"
    TRUNCATED = "truncated"
    """The answer was cut off at the most tokens allowed."""
    RENDER_FAILED = "render-failed"
    """There were no pixels to read."""
    REFUSED = "refused"
    """It is beyond a limit."""
    ENGINE_FAILED = "engine-failed"
    """The engine gave no answer."""


class PageRecord(BaseModel):
    """A page's line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: int
    """1-based, in the document as it is on disk."""
    status: Status
    reason: str = ""
    finish_reason: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    width: int = 0
    height: int = 0
    """Of the rendered page, in pixels."""
    seconds: float = 0.0
    """From the page's rendering to its answer, waiting included."""
    text: str = ""
    """The model's own text, with its tags."""


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

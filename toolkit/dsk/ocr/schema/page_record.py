"""The final record of a page: its one state, the reason, and what it took."""

from __future__ import annotations

import enum
from typing import Literal

from pydantic import Field

from dsk.frozen import Frozen


class Status(enum.StrEnum):
    """The state that a page ended in."""

    OK = "ok"
    RECOVERED = "recovered"
    """Read whole, but not at the first attempt; ``how`` says by what."""
    TRUNCATED = "truncated"
    """The answer was cut off at the most tokens allowed."""
    LOOPED = "looped"
    """The answer repeated itself and was stopped; its text has the repeated part once."""
    EMPTY = "empty"
    """There is something on it, and the answer has no text."""
    BLANK = "blank"
    """There is nothing on it to read."""
    REPAIRED_SUSPECT = "repaired-suspect"
    """The file is damaged, and this page of it came out empty."""
    RENDER_FAILED = "render-failed"
    """There were no pixels to read."""
    TIMED_OUT = "timed-out"
    """Rendering or reading took longer than allowed."""
    REFUSED = "refused"
    """It is beyond a limit."""
    SKIPPED = "skipped"
    """Neither this run nor an earlier one was asked for it. Never in a ledger: it may be asked for
    later."""
    ENGINE_FAILED = "engine-failed"
    """The engine gave no answer: the page's fault, unless `PageRecord.is_interrupted`."""


# The states of pages of which nothing is missing.
WHOLE = frozenset({Status.OK, Status.RECOVERED, Status.BLANK})

# The attempt that a page was read by: the first, or a step of `dsk.ocr.pipeline.retry_policy`.
How = Literal["asked", "guard", "resolution", "ungrounded", "halves", "text-layer"]


# The half of a page that is read, or the whole of it.
PagePart = Literal["whole", "upper", "lower"]


class Sheet(Frozen):
    """A page as it is shown, its rotation applied."""

    width: int
    height: int
    """Of the rendered page, in pixels."""
    width_pt: float
    height_pt: float
    """Of the page itself, in points; for an image, at the resolution it is rendered at."""
    dpi: float
    """As rendered: lower than asked for where the page would have had too many pixels."""


class Attempt(Frozen):
    """One reading of a page by the engine."""

    how: How = "asked"
    status: Status
    finish_reason: str = ""
    tokens: int = 0


class Timings(Frozen):
    """Times of a page in seconds, over all its attempts."""

    render: float = 0.0
    """Rendering and cutting into tiles."""
    wait: float = 0.0
    """Ready, and waiting for the engine."""
    read: float = 0.0
    """In the engine, its own queue included."""


# Written to ledgers as they are: a value that is renamed or taken away makes old ones unreadable.
class PageRecord(Frozen):
    """A page that has ended."""

    page: int
    """1-based, in the document as it is on disk."""
    status: Status
    reason: str = ""
    how: How = "asked"
    """By what the text was read."""
    attempts: tuple[Attempt, ...] = ()
    finish_reason: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    """Both of the attempt that the text is of."""
    sheet: Sheet | None = None
    grid: tuple[int, int] | None = None
    """(columns, rows) of tiles as asked for; (1, 1) is none. None where no tiles were made here."""
    timings: Timings = Timings()
    text: str = ""
    """The model's own text, with its tags."""
    limits: dict[str, int] = Field(default_factory=dict)
    """Limits that the page may have met, by their names in
    `dsk.ocr.schema.limits`, as they were. A run with a higher one reads it again."""
    key: str = ""
    """Of the input, the page and all that the result follows from: `dsk.ocr.results.ledger`."""

    @property
    def is_interrupted(self) -> bool:
        """True if the last attempt failed for a reason that is not the page's.

        The engine or the server was gone, or answered nothing that counts: the next run reads the
        page again.
        """
        last = self.attempts[-1] if self.attempts else None
        if last is None or last.status is not Status.ENGINE_FAILED:
            return False
        return last.finish_reason != "refused"

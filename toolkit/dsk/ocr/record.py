"""What is known of a page once it has ended: its one state, why, and what it took."""

from __future__ import annotations

import enum

from pydantic import BaseModel, ConfigDict


class Status(enum.StrEnum):
    """How a page ended."""

    OK = "ok"
    RECOVERED = "recovered"
    """A later attempt read it whole."""
    TRUNCATED = "truncated"
    """The answer was cut off at the most tokens allowed."""
    LOOPED = "looped"
    """The answer repeated itself and was stopped."""
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
    """It is not among the pages asked for."""
    ENGINE_FAILED = "engine-failed"
    """The engine gave no answer."""


WHOLE = frozenset({Status.OK, Status.RECOVERED, Status.BLANK, Status.SKIPPED})
"""The states of pages of which nothing is missing."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sheet(_Frozen):
    """A page as it is shown, its rotation applied."""

    width: int
    height: int
    """Of the rendered page, in pixels."""
    width_pt: float
    height_pt: float
    """Of the page itself, in points; for an image, at the resolution it is rendered at."""
    dpi: float
    """As rendered: lower than asked for where the page would have had too many pixels."""


class PageRecord(_Frozen):
    """A page that has ended."""

    page: int
    """1-based, in the document as it is on disk."""
    status: Status
    reason: str = ""
    finish_reason: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    sheet: Sheet | None = None
    seconds: float = 0.0
    """From the page's rendering to its answer, waiting included."""
    text: str = ""
    """The model's own text, with its tags."""

"""Events of a run, which the runner writes as lines of JSON and the launcher reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from dsk.frozen import Frozen
from dsk.ocr.schema.page_record import How, Status


class Starting(Frozen):
    """The runner prepares something before the first page."""

    event: Literal["starting"] = "starting"
    what: str


class PageDone(Frozen):
    """A page has its final state."""

    event: Literal["page"] = "page"
    document: str
    folder: str = ""
    """The document's, below the output folder, safe to print."""
    page: int
    status: Status
    how: How = "asked"
    attempts: int = 0
    tokens: int = 0
    reason: str = ""
    """Of a page that did not come out whole, as its record has it."""
    taken_over: bool = False
    """It was read by an earlier run."""


class CardUse(Frozen):
    """Reading of one card since the first page was sent to any engine."""

    label: str = ""
    """Such as ``GPU 1``; empty for a CPU, or for a card that CUDA chose."""
    engines: int
    """Those that run, or are loading."""
    pages: int
    tokens: int
    idle: float
    """Share of the time in which none of its engines had a page, 0 to 1."""


class Moving(Frozen):
    """Counts of the pages in each stage, about once a second."""

    event: Literal["moving"] = "moving"
    rendering: int
    ready: int
    """Waiting for the engine."""
    reading: int
    writing: int
    """Documents that are read and not yet written."""
    seconds: float
    """Since the first page was sent to the engine."""
    pages: int
    tokens: int
    """Read by the engine since then."""
    waits_for: Literal["engine start", "rendering", "engine", "writing"]
    """The bottleneck: everything else waits for it."""
    cards: tuple[CardUse, ...] = ()
    document: str = ""
    """Name of the document whose page an engine got last; empty before the first."""


class CardsUsed(Frozen):
    """Cost of the run, at its end."""

    event: Literal["cards-used"] = "cards-used"
    seconds: float
    """From the first page that was sent to an engine to the last answer."""
    cards: tuple[CardUse, ...]
    waited: dict[str, float]
    """Seconds of the whole run by its bottleneck, as `Moving` names it."""


class Stopping(Frozen):
    """The user asked the run to end."""

    event: Literal["stopping"] = "stopping"
    reading: int
    """Pages in engines."""
    immediate: bool
    """True if these are given up; else they are finished."""


class Warned(Frozen):
    """Something that the user should know of."""

    event: Literal["warned"] = "warned"
    message: str


class OutputsMissing(Frozen):
    """Outputs of a document could not be written."""

    event: Literal["outputs-missing"] = "outputs-missing"
    document: str
    folder: str
    """The document's, below the output folder, safe to print."""
    reasons: dict[str, str]
    """The reason for each format that is missing, by the format's name."""

    @property
    def message(self) -> str:
        """What is missing, and why, on a line."""
        formats: dict[str, list[str]] = {}
        for name, reason in sorted(self.reasons.items()):
            formats.setdefault(reason, []).append(name)
        why = "; ".join(f"no {', '.join(names)}: {reason}" for reason, names in formats.items())
        return f"the outputs of {self.document} are incomplete: {why}"


class EngineLoading(Frozen):
    """An engine has been loading for some minutes."""

    event: Literal["engine-loading"] = "engine-loading"
    engine: int
    """Its number, from 1."""
    seconds: int
    limit: int
    """Seconds after which it is ended."""


class EngineEnded(Frozen):
    """An engine has ended before its time, and the run goes on; its log says why."""

    event: Literal["engine-ended"] = "engine-ended"
    message: str


class Failed(Frozen):
    """The runner cannot go on; the exit code is of the error's kind."""

    event: Literal["failed"] = "failed"
    message: str


class Died(Frozen):
    """The engine ended while it was loading, or again and again; its log says why."""

    event: Literal["died"] = "died"
    code: int
    how: str = ""
    """The end in words, to follow "the engine"."""


# Lines of JSON between two processes of one run. An image may hold another version of dsk than the
# launcher: an event that it does not know is left out.
_AnyEvent = (
    Starting
    | PageDone
    | Moving
    | CardsUsed
    | Stopping
    | Warned
    | OutputsMissing
    | EngineLoading
    | EngineEnded
    | Failed
    | Died
)
Event = Annotated[_AnyEvent, Field(discriminator="event")]
# Reads one line of the runner's.
EVENTS: TypeAdapter[_AnyEvent] = TypeAdapter(Event)

# Called with each event as it happens.
Listener = Callable[[Event], None]

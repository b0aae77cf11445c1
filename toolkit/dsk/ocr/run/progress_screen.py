"""The moving lines that a terminal shows of a run, fitted to its width."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from dsk.ocr.run.event_text import duration, pace
from dsk.ocr.run.event_text import pages as counted
from dsk.ocr.schema.events import Moving, PageDone, Starting, Stopping
from dsk.ocr.schema.page_record import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, ConsoleOptions, RenderResult

    from dsk.ocr.schema.events import Event

_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SPINNER_ASCII: Final = "-\\|/"
_TURNS: Final = 8  # a second
# Below it a bar says less than the counts that it takes the room from.
_SHORTEST_BAR: Final = 8
_GAP: Final = "  "
# The pace is that of the last minute, once so many pages have ended in it: a document of dense
# tables is slower than the novel before it.
_RECENT_SECONDS: Final = 60.0
_RECENT_PAGES: Final = 20


class ProgressScreen:
    """State of a run as two or three lines, none of them wider than the terminal.

    Args:
        pages: pages that the run has in all.
        usual_start: how long the engine usually takes to start, in words; "" if that is not known.
        shows_queues: True if a line with the pages in each stage is shown as well.
        clock: returns a monotonic time in seconds.
    """

    def __init__(
        self,
        pages: int,
        *,
        usual_start: str = "",
        shows_queues: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pages = pages
        self._usual_start = usual_start
        self._shows_queues = shows_queues
        self._clock = clock
        self._began = clock()
        self._activity = "Preparing"
        self._counts: Counter[str] = Counter()
        self._recent: deque[float] = deque()
        self._reading_since: float | None = None
        self._moving: Moving | None = None
        self._stopping = ""

    def take(self, event: Event) -> None:
        """Take an event into account."""
        now = self._clock()
        match event:
            case Starting():
                self._activity = event.what.capitalize()
            case PageDone():
                self._counts["done"] += 1
                self._counts["failed"] += event.status not in WHOLE
                if not event.taken_over:
                    self._counts["fresh"] += 1
                    self._recent.append(now)
            case Moving():
                self._moving = event
                if event.seconds:
                    self._reading_since = self._reading_since or now - event.seconds
            case Stopping():
                self._stopping = "stopping at once" if event.immediate else "stopping"

    def lines(self, width: int, *, ascii_only: bool = False) -> list[Text]:
        """Return the lines, each of at most ``width`` columns."""
        now = self._clock()
        spinner = _SPINNER_ASCII if ascii_only else _SPINNER
        turn = spinner[int(now * _TURNS) % len(spinner)]
        if self._reading_since is None:
            lines = [self._start(turn, now), self._waiting()]
        else:
            lines = [self._bar(width, now, ascii_only=ascii_only), self._at_hand(turn, width)]
        if self._shows_queues and self._moving and self._moving.pages:
            lines.append(Text(_GAP + pace(self._moving), style="dim"))
        for line in lines:
            line.truncate(width, overflow="crop" if ascii_only else "ellipsis")
        return lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # The last column stays free: some terminals wrap as soon as it is written to.
        ascii_only = not options.encoding.lower().startswith("utf")
        yield from self.lines(max(1, options.max_width - 1), ascii_only=ascii_only)

    def _start(self, turn: str, now: float) -> Text:
        line = Text.assemble((f"{turn} ", "cyan"), f"{self._activity}: ")
        line.append(duration(now - self._began), style="cyan")
        if self._usual_start:
            line.append(f" (usually {self._usual_start})", style="dim")
        return line

    def _waiting(self) -> Text:
        done, ready = self._counts["done"], self._moving.ready if self._moving else 0
        parts = [f"{done:,} of {counted(self._pages)} done"]
        if ready:
            parts.append(f"{ready:,} rendered and waiting")
        return Text(f"{_GAP}{self._stopping or ', '.join(parts)}", style="dim")

    def _bar(self, width: int, now: float, *, ascii_only: bool) -> Text:
        done, failed = self._counts["done"], self._counts["failed"]
        share = done / self._pages if self._pages else 1.0
        facts = Text(f"{done:,}/{self._pages:,}")
        rate = self._rate(now)
        left = self._pages - done
        if rate:
            facts.append(f"{_GAP}{duration(left / rate)} left", style="cyan")
            facts.append(f"{_GAP}{rate:.2f} pages/s")
        else:
            facts.append(f"{_GAP}{duration(now - self._began)} so far", style="cyan")
        facts.append(f"{_GAP}{failed:,} failed", style="red" if failed else "dim")
        room = width - cell_len(facts.plain) - len(_GAP)
        if room < _SHORTEST_BAR:
            return facts
        filled = int(share * room)
        full, empty = ("#", "-") if ascii_only else ("━", "─")
        bar = Text.assemble((full * filled, "green"), (empty * (room - filled), "dim"))
        return Text.assemble(bar, _GAP, facts)

    def _at_hand(self, turn: str, width: int) -> Text:
        line = Text.assemble((f"{turn} ", "cyan"))
        moving = self._moving
        if self._stopping:
            reading = moving.reading if moving else 0
            return line.append(f"{self._stopping}; {counted(reading)} in the engine", "yellow")
        if moving and moving.waits_for == "engine start":
            return line.append(self._activity)
        if moving and moving.waits_for == "writing" and not moving.reading:
            return line.append("writing the outputs")
        document = moving.document if moving else ""
        return line.append(shortened(document or self._activity, width - cell_len(line.plain)))

    def _rate(self, now: float) -> float:
        """Return the pages a second, of late if enough have ended of late; 0 if not known."""
        while self._recent and self._recent[0] < now - _RECENT_SECONDS:
            self._recent.popleft()
        if self._reading_since is None or not self._counts["fresh"]:
            return 0.0
        elapsed = max(now - self._reading_since, 0.001)
        if len(self._recent) >= _RECENT_PAGES:
            return len(self._recent) / min(elapsed, _RECENT_SECONDS)
        return self._counts["fresh"] / elapsed


def shortened(name: str, width: int) -> str:
    """Return a file's name in at most ``width`` columns, shortened in its middle.

    Names of scans differ in their ends as often as in their beginnings.
    """
    if cell_len(name) <= width:
        return name
    if width < 4:
        return ""
    head, tail = len(name) // 2, len(name) - len(name) // 2
    while cell_len(name[:head]) + 3 + cell_len(name[len(name) - tail :]) > width:
        if head >= tail:
            head -= 1
        else:
            tail -= 1
    return f"{name[:head]}...{name[len(name) - tail :]}"

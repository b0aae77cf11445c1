"""Summary of a run at its end: the pages by state, the time, where to look, and what to do next."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from dsk.filenames import printable
from dsk.ocr.run.event_text import duration, pages, use_of_cards
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import CardsUsed, PageDone
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.ocr.schema.events import Event, Listener
    from dsk.ocr.schema.run_plan import Document, RunPlan

# Pages that did not come out whole and are named.
_NAMED: Final = 5

# What helps with pages of a state, to follow their number. Where a limit was met, the reason in the
# ledger names the option that raises it.
ADVICE: Final = {
    Status.TRUNCATED: "--retry-failed with more --attempts or --max-tokens may read the rest",
    Status.LOOPED: "--retry-failed with more --attempts reads them in other ways",
    Status.EMPTY: "--retry-failed with more --attempts or a higher --dpi may read them",
    Status.REPAIRED_SUSPECT: "compare them with the file in a viewer: it is damaged",
    Status.RENDER_FAILED: "the file is damaged there: repair it, such as with qpdf",
    Status.TIMED_OUT: "--retry-failed with a higher --render-seconds or --read-seconds",
    Status.REFUSED: "they are beyond a limit: the option that pages.jsonl names raises it",
    Status.ENGINE_FAILED: "the same command reads those again that an engine or a server lost",
}


class ClosingSummary:
    """Counts the pages of a run as they end, and the time that they take.

    Args:
        plan: the plan of the run.
        clock: returns a monotonic time in seconds.
    """

    def __init__(self, plan: RunPlan, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self._began = clock()
        self._states: Counter[Status] = Counter()
        self._kept = 0
        self._lacking: list[PageDone] = []
        self._used: CardsUsed | None = None

    def count_for(self, listener: Listener) -> Listener:
        """Return a listener that counts pages, then calls ``listener``."""

        def count(event: Event) -> None:
            if isinstance(event, PageDone):
                self._states[event.status] += 1
                self._kept += event.taken_over
                if event.status not in WHOLE and len(self._lacking) < _NAMED:
                    self._lacking.append(event)
            elif isinstance(event, CardsUsed):
                self._used = event
            listener(event)

        return count

    def content(self) -> dict[str, Any]:
        """Return the summary for programs."""
        return {
            "event": "ended",
            "seconds": round(self._clock() - self._began, 3),
            "pages_per_second": round(self._pages_per_second, 3),
            "pages": {status.value: count for status, count in sorted(self._states.items())},
            "read_before": self._kept,
            "planned": self._planned,
            "rejected": len(self._plan.rejected),
            "summary": printable(self._plan.out / run_files.SUMMARY),
            "look_at": printable(self._look_at()),
        }

    def lines(self, *, verbose: bool) -> list[str]:
        """Return the summary for people, a fact a line.

        Args:
            verbose: True if what each stage waited for is of interest.
        """
        total = self._states.total()
        counts = ", ".join(f"{count:,} {status}" for status, count in self._by_number())
        left = self._planned - total
        what = f"{pages(total)} in {duration(self._clock() - self._began)}"
        lines = [_line("pages", f"{what}: {counts}" if counts else what)]
        if left > 0:
            lines.append(_line("left", pages(left)))
        if self._kept:
            lines.append(_line("kept", f"{pages(self._kept)} that an earlier run has read"))
        lines += self._speed(verbose=verbose)
        if self._plan.rejected:
            lines.append(_line("inputs", f"{len(self._plan.rejected)} not read: see the warnings"))
        lines.append(_line("look at", printable(self._look_at())))
        return lines + self._failures()

    @property
    def _planned(self) -> int:
        return sum(len(document.pages) for document in self._plan.documents)

    @property
    def _pages_per_second(self) -> float:
        if self._used is None or not self._used.seconds:
            return 0.0
        return sum(card.pages for card in self._used.cards) / self._used.seconds

    def _by_number(self) -> list[tuple[Status, int]]:
        return sorted(self._states.items(), key=lambda item: (item[0] not in WHOLE, -item[1]))

    def _speed(self, *, verbose: bool) -> list[str]:
        if self._used is None or not self._pages_per_second:
            return []
        first, *cards, waited = use_of_cards(self._used)
        start = self._used.waited.get("engine start", 0.0)
        after = f", after {duration(start)} of engine start" if start >= 1 else ""
        lines = [f"{first}{after}", *cards, *([waited] if verbose else [])]
        return [_line("speed" if line is lines[0] else "", line) for line in lines]

    def _look_at(self) -> Path:
        """Return the file or folder to open first."""
        out = self._plan.out
        if len(self._plan.documents) != 1:
            index = out / run_files.INDEX
            return index if index.is_file() else out
        document = self._plan.documents[0]
        return next((file for file in _shown(document) if file.is_file()), document.folder)

    def _failures(self) -> list[str]:
        lines: list[str] = []
        for page in self._lacking:
            reason = f", {printable(page.reason)}" if page.reason else ""
            where = f"{page.document} page {page.page}"
            lines.append(_line("" if lines else "failed", f"{where}: {page.status}{reason}"))
        failed = sum(count for status, count in self._states.items() if status not in WHOLE)
        if failed > len(self._lacking):
            lines.append(_line("", f"and {pages(failed - len(self._lacking))} more"))
        advice = [
            f"{count:,} {status}: {ADVICE[status]}"
            for status, count in self._by_number()
            if status in ADVICE
        ]
        return lines + [_line("" if number else "next", each) for number, each in enumerate(advice)]


def _shown(document: Document) -> tuple[Path, Path]:
    return document.folder / "report.html", document.folder / f"{document.stem}.md"


def _line(name: str, text: str) -> str:
    return f"{name:<9}{text}"

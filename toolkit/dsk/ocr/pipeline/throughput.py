"""Throughput of a run and the stage that limits it, reported about once a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal

from dsk.ocr.schema.events import Moving

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.ocr.schema.events import CardUse, Listener

Stage = Literal["engine start", "rendering", "engine", "writing"]

_INTERVAL: Final = 1.0  # seconds


class Throughput:
    """Counters of what the engines have read since the first page was sent to them.

    Args:
        emit: called with a `Moving` event at each report.
    """

    def __init__(self, emit: Listener) -> None:
        self._emit = emit
        self._reported_at = 0.0
        self._bottleneck: Stage | None = None
        self._moved_at = 0.0
        self._started_at: float | None = None
        self._document = ""
        self.pages = 0
        self.tokens = 0
        self.waited: dict[str, float] = {}
        """Seconds so far by the bottleneck that the rest of the run waited for."""

    def count_sent(self, document: str, now: float) -> None:
        """Note that an engine gets a page of a document.

        The first one starts the clock: the time until the model is loaded does not count.
        """
        self._started_at = self._started_at or now
        self._document = document

    def report(
        self,
        *,
        rendering: int,
        ready: int,
        reading: int,
        writing: int,
        engines_loading: bool,
        outputs_full: bool,
        cards: Callable[[], tuple[CardUse, ...]] = tuple,
    ) -> None:
        """Report how many pages are in each stage, unless that was done less than a second ago.

        Args:
            rendering: pages in workers.
            ready: pages that wait for an engine.
            reading: requests in engines.
            writing: documents that are read and not yet written.
            engines_loading: whether no engine is ready yet.
            outputs_full: whether no further page is started until outputs are written.
            cards: returns what each card has read.
        """
        now = time.monotonic()
        bottleneck: Stage
        if outputs_full:
            bottleneck = "writing"
        elif engines_loading:
            bottleneck = "engine start"
        else:
            # Pages that wait for the engine show that it is the slower; with none waiting and
            # nobody rendering, the last pages are in it.
            bottleneck = "engine" if ready or not rendering else "rendering"
        if not (rendering or ready or reading) and writing:
            bottleneck = "writing"
        self._wait_for(bottleneck, now)
        if now - self._reported_at < _INTERVAL:
            return
        self._reported_at = now
        self._emit(
            Moving(
                rendering=rendering,
                ready=ready,
                reading=reading,
                writing=writing,
                seconds=round(now - self._started_at, 3) if self._started_at else 0.0,
                pages=self.pages,
                tokens=self.tokens,
                waits_for=bottleneck,
                cards=cards(),
                document=self._document,
            )
        )

    def _wait_for(self, bottleneck: Stage, now: float) -> None:
        """Count the time since the last call for the bottleneck that was found then."""
        if self._bottleneck is not None:
            seconds = now - self._moved_at
            self.waited[self._bottleneck] = self.waited.get(self._bottleneck, 0.0) + seconds
        self._bottleneck, self._moved_at = bottleneck, now

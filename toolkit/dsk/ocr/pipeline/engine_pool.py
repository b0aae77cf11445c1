"""Pool of engine processes: start together, feed the least busy, expire requests, restart."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.ocr.engines import loading
from dsk.ocr.engines.handle import TIMEOUT_STATUS, EngineDied, EngineHandle
from dsk.ocr.engines.worker import EngineNotice
from dsk.ocr.pipeline.card_meter import CardMeters
from dsk.ocr.schema.events import EngineEnded, EngineLoading, Starting, Warned
from dsk.ocr.schema.limits import flag
from dsk.processes import unkillable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.engines.worker import EngineReady, PageRead
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.page_state import EngineRequest, PageState
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan

# Engines that may die with a page among others; from then on it is read alone.
DEATHS_BEFORE_ISOLATION: Final = 2

# Consecutive deaths of a card's engines without an answer in between, for each of these, after
# which the run goes on without the card, or ends if it has no other. Deaths with an isolated page
# do not count: that page is the cause, and it fails by itself.
_MOST_DEATHS_IN_A_ROW: Final = 3


@dataclass(frozen=True)
class PageAnswered:
    """Answer of an engine to a request."""

    request: EngineRequest
    answer: PageRead
    card: int
    """The engine's, by its position in the placement."""


@dataclass(frozen=True)
class RequestExpired:
    """Request that took too long; its engine was asked to drop it."""

    request: EngineRequest


@dataclass(frozen=True)
class EngineLost:
    """Death of an engine.

    Args:
        how: the end in words, to follow "the engine".
        pages: the pages that it had and that still wait for an answer.
        isolated: whether it had one page alone, one that engines had died with before.
    """

    how: str
    pages: list[PageState]
    isolated: bool


class EnginePool:
    """Engines of a run, on one card or several. An engine that does not load beside others is
    skipped, and so is a card whose engines keep dying while others read.

    Args:
        command: the command that starts an engine.
        file: the plan's file, for the engines.
        plan: the plan of the run.
        emit: called with starts and deaths.
    """

    def __init__(
        self, command: Sequence[str | Path], file: Path, plan: RunPlan, emit: Listener
    ) -> None:
        self._command = command
        self._file = file
        self._limits = plan.limits
        self._emit = emit
        self._placement = plan.placement
        # The card of each engine that should run. First one engine a card, then the second ones.
        self._wanted = [
            card
            for number in range(max(each.engines for each in plan.placement.cards))
            for card, each in enumerate(plan.placement.cards)
            if number < each.engines
        ]
        self.meters = CardMeters(plan.placement.cards)
        self._running: list[EngineHandle] = []
        self._closing: list[EngineHandle] = []
        self._requests: dict[int, EngineRequest] = {}
        self._last_number = 0
        self._started = 0
        self._loading_reports: dict[EngineHandle, int] = {}
        self._deaths_in_a_row: Counter[int] = Counter()

    def __len__(self) -> int:
        """Return the number of requests that wait for an answer."""
        return len(self._requests)

    @property
    def channels(self) -> list[Channel]:
        """Channels of the running engines, for `select`."""
        return [engine.channel for engine in self._running]

    @property
    def is_loading(self) -> bool:
        """True if engines are running and none of them is ready yet."""
        return bool(self._running) and self.ready is None

    @property
    def ready(self) -> EngineReady | None:
        """First message of an engine that is ready; None while there is none."""
        return next((engine.ready for engine in self._running if engine.ready), None)

    @property
    def engines_by_card(self) -> list[int]:
        """Number of engines that run or load on each card of the placement."""
        running = Counter(engine.card for engine in self._running)
        return [running[card] for card in range(len(self._placement.cards))]

    def start(self) -> None:
        """Start engines that are missing, as many as may load at once.

        Raises:
            EngineMissing: an engine cannot be started.
        """
        missing = Counter(self._wanted) - Counter(engine.card for engine in self._running)
        loading = sum(engine.ready is None for engine in self._running)
        room = (self._placement.starts_at_once or len(self._wanted)) - loading
        if missing and room > 0:
            self._emit(Starting(what="loading the model"))
        for card in self._wanted:
            if room > 0 and missing[card] > 0:
                missing[card] -= 1
                room -= 1
                self._start_on(card)

    def _start_on(self, card: int) -> None:
        self._started += 1
        variables = self._placement.cards[card].environment
        engine = EngineHandle(self._command, self._file, self._started, card, variables)
        self._running.append(engine)

    def release(self) -> None:
        """Ask the engines to end, without waiting for that."""
        # vLLM takes seconds to end: meanwhile the last outputs are written.
        for engine in self._running:
            engine.channel.close()
        self._closing += self._running
        self._running.clear()

    def close(self) -> None:
        """End the engines, and wait until they are gone."""
        self.release()
        for engine in self._closing:
            engine.end()
            self._warn_of_unkillable(engine)
        self._closing.clear()

    @property
    def has_room(self) -> bool:
        """True if an engine takes another request."""
        return any(engine.takes for engine in self._running)

    def send(self, request: EngineRequest) -> EngineLost | None:
        """Send a request to the engine that has the fewest; its file is closed.

        A page that engines have died with goes to a card on which none has, if there is one: the
        card may be the cause.

        Raises:
            EngineDied: engines keep dying.
        """
        suspect = request.page.engine_deaths > 0
        candidates = (engine for engine in self._running if engine.takes)
        engine = min(
            candidates,
            key=lambda each: (suspect and self._deaths_in_a_row[each.card], len(each.inside)),
        )
        self._last_number += 1
        self._requests[self._last_number] = request
        assert request.payload is not None
        try:
            engine.send(self._last_number, request.payload, request.page_request, request.file)
        except EngineDied as died:
            return self._handle_death(engine, died)
        self._measure(engine.card)
        return None

    def poll(self, channels: Sequence[Channel]) -> Iterator[PageAnswered | EngineLost]:
        """Receive from the engines of readable channels.

        Raises:
            EngineDied: engines keep dying.
            DskError: an engine cannot be started, with the reason that it gave.
        """
        # A copy: a death takes its engine out of the list.
        for engine in self._running[:]:
            if engine.channel not in channels:
                continue
            was_loading = self.is_loading
            try:
                answer = engine.receive()
            except EngineDied as died:
                yield self._handle_death(engine, died)
                continue
            if was_loading and not self.is_loading:
                self._emit(Starting(what="reading"))
            if isinstance(answer, EngineNotice):
                self._emit(Warned(message=answer.text))
            elif answer is not None:
                self._deaths_in_a_row[engine.card] = 0
                self.meters.count_tokens(engine.card, answer.tokens)
                self._measure(engine.card)
                yield PageAnswered(self._requests.pop(answer.number), answer, engine.card)

    def expire(self) -> Iterator[RequestExpired | EngineLost]:
        """Drop the requests that have taken too long; end the engines that hang.

        An engine hangs that is silent for as long as a page may take, or that does not load in
        time.

        Raises:
            EngineDied: engines keep dying.
        """
        for engine in self._running[:]:
            try:
                engine.check_alive()
                self._check_loading(engine)
                yield from self._expire_requests_of(engine)
            except EngineDied as died:
                yield self._handle_death(engine, died)

    def _expire_requests_of(self, engine: EngineHandle) -> Iterator[RequestExpired]:
        seconds = self._limits.read_seconds
        limit = time.monotonic() - seconds
        late = [number for number in sorted(engine.inside) if self._requests[number].since < limit]
        if late and engine.last_message_at < limit:
            # Not one message about any page in all that time: the engine hangs, not the page.
            how = f"said nothing for {seconds} s, the limit of {flag('read_seconds')}: it was ended"
            raise engine.ended(TIMEOUT_STATUS, how)
        for number in late:
            # Popped before `drop`, which raises if the engine is dead: this page has timed out,
            # and is not among those that go to another engine.
            yield RequestExpired(self._requests.pop(number))
            engine.drop(number)
            self._measure(engine.card)

    def _handle_death(self, engine: EngineHandle, died: EngineDied) -> EngineLost:
        """Take a dead engine and its requests out of the pool.

        Raises:
            EngineDied: engines keep dying on every card, or none has ever been ready.
        """
        self._running.remove(engine)
        self._loading_reports.pop(engine, None)
        self._warn_of_unkillable(engine)
        self._measure(engine.card)
        if engine.ready is None and len(self._wanted) > 1:
            # Usually the GPU memory that the others have left is too small for one more.
            self._wanted.remove(engine.card)
            message = f"{self._named(engine, 'an')} {died.how}: the run continues with the others"
            self._emit(EngineEnded(message=message))
            return EngineLost(died.how, [], isolated=False)
        requests = [self._requests.pop(number) for number in sorted(engine.inside)]
        # A page read in halves has two requests, and is lost once.
        pages = list(dict.fromkeys(request.page for request in requests if request.is_current))
        isolated = len(pages) == 1 and pages[0].engine_deaths >= DEATHS_BEFORE_ISOLATION
        self._deaths_in_a_row[engine.card] += not isolated
        what_follows = "it is started again"
        if engine.ready is None or self._keeps_dying(engine.card):
            others = [card for card in self._wanted if card != engine.card]
            if engine.ready is None or not others:
                raise died
            self._wanted = others
            what_follows = "the run continues without that card, on which engines keep dying"
        self._emit(EngineEnded(message=f"{self._named(engine, 'the')} {died.how}; {what_follows}"))
        return EngineLost(died.how, pages, isolated=isolated)

    def _keeps_dying(self, card: int) -> bool:
        """Return True if a card's engines have died so often that they are not started again."""
        return self._deaths_in_a_row[card] > _MOST_DEATHS_IN_A_ROW * self._wanted.count(card)

    def _named(self, engine: EngineHandle, article: str) -> str:
        """Return an engine in words, with its card if the run has several."""
        cards = self._placement.cards
        where = f" on {cards[engine.card]}" if len(cards) > 1 else ""
        return f"{article} engine{where}"

    def _measure(self, card: int) -> None:
        pages = sum(len(engine.inside) for engine in self._running if engine.card == card)
        self.meters.occupy(card, pages)

    def _check_loading(self, engine: EngineHandle) -> None:
        """Report an engine that has been loading for long; end one that loads too long.

        Raises:
            EngineDied: the engine did not load in time.
        """
        if engine.ready is not None:
            return
        seconds = time.monotonic() - engine.started_at
        limit = self._limits.load_seconds
        if seconds > limit:
            raise engine.ended(TIMEOUT_STATUS, loading.timeout_report(limit))
        reports = self._loading_reports.get(engine, 0)
        if seconds > (reports + 1) * loading.REPORT_SECONDS:
            self._loading_reports[engine] = reports + 1
            self._emit(EngineLoading(engine=engine.number, seconds=round(seconds), limit=limit))

    def _warn_of_unkillable(self, engine: EngineHandle) -> None:
        if engine.unkillable:
            self._emit(Warned(message=f"of an engine, {unkillable.described(engine.unkillable)}"))

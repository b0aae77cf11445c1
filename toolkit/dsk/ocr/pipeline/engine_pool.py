"""Pool of engine processes: start together, feed the least busy, expire requests, restart."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.errors import DskError
from dsk.ocr.engines import loading
from dsk.ocr.engines.connection import EngineDied
from dsk.ocr.engines.handle import TIMEOUT_STATUS
from dsk.ocr.engines.worker import EngineNotice, PageRendered
from dsk.ocr.pipeline.card_meter import CardMeters
from dsk.ocr.pipeline.engine_source import CardJoined
from dsk.ocr.schema.events import EngineEnded, EngineLoading, Starting, Warned
from dsk.ocr.schema.limits import flag
from dsk.processes import unkillable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dsk.ocr.engines.connection import EngineConnection
    from dsk.ocr.engines.worker import EngineReady, PageRead
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.engine_source import EngineSource
    from dsk.ocr.pipeline.page_state import EngineRequest, PageState
    from dsk.ocr.schema.engine_config import CardPlacement
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
class RequestRendered:
    """Rendering of a request by its engine: it is read now, or could not be rendered."""

    request: EngineRequest
    rendered: PageRendered


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
        is_lost: whether its machine is gone, or the way to it, for whatever reason.
    """

    how: str
    pages: list[PageState]
    isolated: bool
    is_lost: bool = False


class EnginePool:
    """Engines of a run, on one card or several. An engine that does not load beside others is
    skipped, and so is a card whose engines keep dying while others read.

    Args:
        source: where the engines are.
        plan: the plan of the run.
        emit: called with starts and deaths.
    """

    def __init__(self, source: EngineSource, plan: RunPlan, emit: Listener) -> None:
        self._source = source
        self._limits = plan.limits
        self._emit = emit
        self._cards: list[CardPlacement] = []
        self._starts_at_once: int | None = None
        self.meters = CardMeters()
        # The card of each engine that should run. First one engine a card, then the second ones.
        self._wanted: list[int] = []
        if source.placement is not None:
            self._starts_at_once = source.placement.starts_at_once
            self._add(source.placement.cards)
        self._running: list[EngineConnection] = []
        self._closing: list[EngineConnection] = []
        self._is_open = False
        self._requests: dict[int, EngineRequest] = {}
        self._last_number = 0
        self._started = 0
        self._loading_reports: dict[EngineConnection, int] = {}
        self._deaths_in_a_row: Counter[int] = Counter()
        self._given_up: set[int] = set()

    def _add(self, cards: Sequence[CardPlacement]) -> None:
        """Add cards to read on."""
        first = len(self._cards)
        self._cards += cards
        self.meters.add(cards)
        self._wanted += [
            card
            for number in range(max(each.engines for each in cards))
            for card, each in enumerate(cards, start=first)
            if number < each.engines
        ]

    def __len__(self) -> int:
        """Return the number of requests that wait for an answer."""
        return len(self._requests)

    @property
    def channels(self) -> list[Channel]:
        """Channels of the running engines and of their source, for `select`."""
        return [*self._source.channels, *(engine.channel for engine in self._running)]

    @property
    def render(self) -> bool:
        """True if pages are sent by their numbers, to engines that render them."""
        return self._source.renders

    @property
    def is_loading(self) -> bool:
        """True if engines load, or cards are waited for, and no engine is ready yet."""
        waits = self._is_open and self._source.placement is None and not self._closing
        return bool(self._running or waits) and self.ready is None

    @property
    def ready(self) -> EngineReady | None:
        """First message of an engine that is ready; None while there is none."""
        return next((engine.ready for engine in self._running if engine.ready), None)

    @property
    def engines_by_card(self) -> list[int]:
        """Number of engines that run or load on each card of the placement."""
        running = Counter(engine.card for engine in self._running)
        return [running[card] for card in range(len(self._cards))]

    @property
    def engines_wanted(self) -> list[int]:
        """Number of engines that each card was given."""
        return [card.engines for card in self._cards]

    def start(self) -> None:
        """Start engines that are missing, as many as may load at once.

        Raises:
            EngineMissing: an engine cannot be started.
        """
        if not self._is_open:
            self._is_open = True
            self._source.open()
        missing = Counter(self._wanted) - Counter(engine.card for engine in self._running)
        loading = sum(engine.ready is None for engine in self._running)
        room = (self._starts_at_once or len(self._wanted)) - loading
        if missing and room > 0:
            self._emit(Starting(what="loading the model"))
        for card in self._wanted:
            if room > 0 and missing[card] > 0:
                missing[card] -= 1
                room -= 1
                self._started += 1
                self._running.append(self._source.start(self._started, card))

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
        self._source.close()

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
        try:
            request.send_to(engine, self._last_number)
        except EngineDied as died:
            return self._handle_death(engine, died)
        self._measure(engine.card)
        return None

    def poll(
        self, channels: Sequence[Channel]
    ) -> Iterator[PageAnswered | RequestRendered | EngineLost]:
        """Receive from the engines of readable channels, and from their source.

        Raises:
            EngineDied: engines keep dying.
            DskError: an engine cannot be started, with the reason that it gave.
        """
        for change in self._source.poll(channels):
            if isinstance(change, CardJoined):
                self._join(change)
            else:
                self._emit(Warned(message=change.message))
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
            except DskError as error:
                if not self._has_others(engine.card):
                    raise
                how = f"could not be started: {error.what}"
                yield self._handle_death(engine, EngineDied(error.exit_code, how))
                continue
            if was_loading and not self.is_loading:
                self._emit(Starting(what="reading"))
            if isinstance(answer, EngineNotice):
                self._emit(Warned(message=answer.text))
            elif answer is not None:
                yield self._taken(answer, engine.card)

    def _taken(self, message: PageRead | PageRendered, card: int) -> PageAnswered | RequestRendered:
        """Take in an engine's message about a request."""
        if isinstance(message, PageRendered):
            request = self._requests[message.number]
            if message.status is not None:
                del self._requests[message.number]
                self._measure(card)
            return RequestRendered(request, message)
        self._deaths_in_a_row[card] = 0
        self.meters.count_tokens(card, message.tokens)
        self._measure(card)
        return PageAnswered(self._requests.pop(message.number), message, card)

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

    def _expire_requests_of(self, engine: EngineConnection) -> Iterator[RequestExpired]:
        seconds = self._limits.read_seconds
        limit = time.monotonic() - seconds
        late = [number for number in sorted(engine.inside) if self._requests[number].since < limit]
        # Where an engine renders, too, that may be all that it does for a while.
        rendering = self._limits.render_seconds if self.render and engine.inside else 0
        if (late or rendering) and engine.last_message_at < limit - rendering:
            # Not one message about any page in all that time: the engine hangs, not the page.
            how = f"said nothing for {seconds} s, the limit of {flag('read_seconds')}: it was ended"
            raise engine.ended(TIMEOUT_STATUS, how)
        for number in late:
            # Popped before `drop`, which raises if the engine is dead: this page has timed out,
            # and is not among those that go to another engine.
            yield RequestExpired(self._requests.pop(number))
            engine.drop(number)
            self._measure(engine.card)

    def _handle_death(self, engine: EngineConnection, died: EngineDied) -> EngineLost:
        """Take a dead engine and its requests out of the pool.

        Raises:
            EngineDied: engines keep dying on every card, or none has ever been ready.
        """
        self._running.remove(engine)
        self._loading_reports.pop(engine, None)
        self._warn_of_unkillable(engine)
        self._measure(engine.card)
        if engine.ready is None and not died.is_lost and len(self._wanted) > 1:
            # Usually the GPU memory that the others have left is too small for one more.
            self._wanted.remove(engine.card)
            message = f"{self._named(engine, 'an')} {died.how}: the run continues with the others"
            self._emit(EngineEnded(message=message))
            return EngineLost(died.how, [], isolated=False)
        requests = [self._requests.pop(number) for number in sorted(engine.inside)]
        # A page read in halves has two requests, and is lost once.
        pages = list(dict.fromkeys(request.page for request in requests if request.is_current))
        isolated = len(pages) == 1 and pages[0].engine_deaths >= DEATHS_BEFORE_ISOLATION
        if died.is_lost:
            # Its card joins again once there is a way to it.
            self._wanted = [card for card in self._wanted if card != engine.card]
            self._emit(EngineEnded(message=f"{self._named(engine, 'the')} {died.how}"))
            return EngineLost(died.how, pages, isolated=isolated, is_lost=True)
        self._deaths_in_a_row[engine.card] += not isolated
        what_follows = "it is started again"
        if engine.ready is None or self._keeps_dying(engine.card):
            others = [card for card in self._wanted if card != engine.card]
            self._given_up.add(engine.card)
            if engine.ready is None or not others:
                raise died
            self._wanted = others
            what_follows = "the run continues without that card, on which engines keep dying"
        self._emit(EngineEnded(message=f"{self._named(engine, 'the')} {died.how}; {what_follows}"))
        return EngineLost(died.how, pages, isolated=isolated)

    def _join(self, change: CardJoined) -> None:
        """Read on a card that has come, or has come back."""
        if change.card == len(self._cards):
            self._add([change.placement])
        elif change.card not in self._wanted and change.card not in self._given_up:
            self._wanted += [change.card] * change.placement.engines
        self.start()

    def _has_others(self, card: int) -> bool:
        """Return True if the source has other cards, one of which may still read."""
        return self._source.placement is None and any(each != card for each in self._wanted)

    def _keeps_dying(self, card: int) -> bool:
        """Return True if a card's engines have died so often that they are not started again."""
        return self._deaths_in_a_row[card] > _MOST_DEATHS_IN_A_ROW * self._wanted.count(card)

    def _named(self, engine: EngineConnection, article: str) -> str:
        """Return an engine in words, with its card if the run has several."""
        where = f" on {self._cards[engine.card]}" if len(self._cards) > 1 else ""
        return f"{article} engine{where}"

    def _measure(self, card: int) -> None:
        pages = sum(len(engine.inside) for engine in self._running if engine.card == card)
        self.meters.occupy(card, pages)

    def _check_loading(self, engine: EngineConnection) -> None:
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

    def _warn_of_unkillable(self, engine: EngineConnection) -> None:
        if engine.unkillable:
            self._emit(Warned(message=f"of an engine, {unkillable.described(engine.unkillable)}"))

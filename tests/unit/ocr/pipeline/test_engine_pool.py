"""Engines that die or hang: whose pages go to another one, and when the run ends."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.ocr.pipeline.plans import answer, page, plan

from dsk.ocr.engines.connection import EngineDied
from dsk.ocr.pipeline import engine_source
from dsk.ocr.pipeline.engine_pool import EngineLost, EnginePool, PageAnswered, RequestExpired
from dsk.ocr.pipeline.engine_source import LocalEngines
from dsk.ocr.schema.engine_config import CardPlacement, Placement
from dsk.ocr.schema.events import EngineEnded, EngineLoading, Warned
from dsk.ocr.schema.limits import Limits

if TYPE_CHECKING:
    from dsk.ocr.engines.worker import PageRead
    from dsk.ocr.pipeline.page_state import EngineRequest
    from dsk.ocr.schema.events import Event

started: list[FakeEngine] = []


class FakeEngine:
    """An `EngineHandle` without a process: ``messages`` are received in turn."""

    def __init__(self, *arguments: Any) -> None:
        self.card, self.environment = arguments[3], arguments[4]
        self.channel = SimpleNamespace(close=lambda: None)
        self.ready: object | None = "ready"
        self.inside: set[int] = set()
        self.last_message_at = time.monotonic()
        self.messages: list[PageRead | EngineDied | None] = []
        self.dropped: list[int] = []
        self.was_ended = False
        self.number = len(started) + 1
        self.started_at = time.monotonic()
        self.unkillable: tuple[int, ...] = ()
        self.has_exited = False
        started.append(self)

    @property
    def takes(self) -> bool:
        return self.ready is not None

    def send(self, number: int, *_: object) -> None:
        self.inside.add(number)

    def receive(self) -> PageRead | None:
        message = self.messages.pop(0)
        if isinstance(message, EngineDied):
            raise message
        if message is not None:
            self.inside.discard(message.number)
        return message

    def drop(self, number: int) -> None:
        self.inside.discard(number)
        self.dropped.append(number)

    def check_alive(self) -> None:
        if self.has_exited:
            raise EngineDied(139)

    def ended(self, code: int, how: str) -> EngineDied:
        self.was_ended = True
        return EngineDied(code, how)

    def end(self) -> None:
        self.was_ended = True


@pytest.fixture(autouse=True)
def _fake_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    started.clear()
    monkeypatch.setattr(engine_source, "EngineHandle", FakeEngine)


def pool_of(
    count: int,
    events: list[Event] | None = None,
    seconds: int = 60,
    load_seconds: int = 1800,
    cards: int = 1,
    starts_at_once: int | None = None,
) -> EnginePool:
    limited = Limits(read_seconds=seconds, load_seconds=load_seconds)
    placed = Placement(
        cards=tuple(
            CardPlacement(device=str(n), label=f"GPU {n}", name="NVIDIA H200", engines=count)
            for n in range(cards)
        ),
        starts_at_once=starts_at_once,
    )
    settings = plan(placement=placed, limits=limited)
    listener = (events if events is not None else []).append
    source = LocalEngines(["engine"], Path("plan.json"), placed)
    pool = EnginePool(source, settings, listener)
    pool.start()
    return pool


def request(number: int, deaths: int = 0) -> EngineRequest:
    state = page(number)
    state.engine_deaths = deaths
    (made,) = state.requests(plan())
    payload: Any = "pixels"
    made.payload, made.since = payload, time.monotonic()
    return made


def poll(pool: EnginePool, engine: FakeEngine, message: PageRead | EngineDied) -> Any:
    engine.messages.append(message)
    channel: Any = engine.channel
    (event,) = pool.poll([channel])
    return event


def test_the_engine_with_the_fewest_requests_is_fed() -> None:
    pool = pool_of(2)
    for number in range(4):
        pool.send(request(number))
    assert [len(engine.inside) for engine in started] == [2, 2]
    assert len(pool) == 4


def test_an_answer_comes_with_its_request() -> None:
    pool = pool_of(1)
    sent = request(1)
    pool.send(sent)
    event = poll(pool, started[0], answer("text", number=1))
    assert isinstance(event, PageAnswered)
    assert event.request is sent
    assert len(pool) == 0


def test_a_dead_engines_pages_are_named_once_and_without_those_that_have_ended() -> None:
    pool = pool_of(1)
    split = page(1)
    split.step = "halves"
    payload: Any = "pixels"
    for half in split.requests(plan()):
        half.payload = payload
        pool.send(half)
    ended = request(2)
    pool.send(ended)
    ended.page.outstanding.clear()
    lost = poll(pool, started[0], EngineDied(139))
    assert isinstance(lost, EngineLost)
    assert (lost.how, lost.pages, lost.isolated) == ("ended with status 139", [split], False)
    assert len(pool) == 0


def test_engines_that_keep_dying_without_an_answer_end_the_run() -> None:
    pool = pool_of(1)
    for _ in range(3):
        pool.send(request(1))
        assert isinstance(poll(pool, started[-1], EngineDied(1)), EngineLost)
        pool.start()
    pool.send(request(1))
    with pytest.raises(EngineDied):
        poll(pool, started[-1], EngineDied(1))


def test_an_answer_in_between_starts_the_count_anew() -> None:
    pool = pool_of(1)
    for _ in range(9):
        pool.send(request(1))
        poll(pool, started[-1], EngineDied(1))
        pool.start()
        pool.send(request(2))
        poll(pool, started[-1], answer("text", number=pool._last_number))


def test_a_page_that_is_read_alone_may_kill_any_number_of_engines() -> None:
    pool = pool_of(1)
    for _ in range(9):
        pool.send(request(1, deaths=2))
        lost = poll(pool, started[-1], EngineDied(1))
        assert lost.isolated
        pool.start()


def test_an_engine_that_dies_while_it_loads_beside_others_is_done_without() -> None:
    events: list[Event] = []
    pool = pool_of(2, events)
    started[1].ready = None
    lost = poll(pool, started[1], EngineDied(3))
    assert lost.pages == []
    pool.start()
    assert len(started) == 2
    (ended,) = [event for event in events if isinstance(event, EngineEnded)]
    assert ended.message == "an engine ended with status 3: the run continues with the others"


def test_the_only_engine_that_dies_while_it_loads_ends_the_run() -> None:
    pool = pool_of(1)
    started[0].ready = None
    with pytest.raises(EngineDied):
        poll(pool, started[0], EngineDied(3))


def test_a_page_that_takes_too_long_is_dropped_and_the_engine_stays() -> None:
    pool = pool_of(1, seconds=10)
    slow, quick = request(1), request(2)
    pool.send(slow)
    pool.send(quick)
    slow.since -= 11
    (expired,) = pool.expire()
    assert isinstance(expired, RequestExpired)
    assert expired.request is slow
    assert started[0].dropped == [1]
    assert not started[0].was_ended
    assert len(pool) == 1


def test_an_engine_that_is_silent_for_as_long_is_ended_and_its_pages_are_lost() -> None:
    pool = pool_of(1, seconds=10)
    slow, quick = request(1), request(2)
    pool.send(slow)
    pool.send(quick)
    slow.since -= 11
    started[0].last_message_at -= 11
    (lost,) = pool.expire()
    assert isinstance(lost, EngineLost)
    assert lost.how == "said nothing for 10 s, the limit of --read-seconds: it was ended"
    assert lost.pages == [slow.page, quick.page]
    assert started[0].was_ended


def test_an_engine_that_loads_too_long_is_ended_and_another_one_goes_on() -> None:
    events: list[Event] = []
    pool = pool_of(2, events, load_seconds=600)
    started[1].ready = None
    started[1].started_at -= 601
    (lost,) = pool.expire()
    assert isinstance(lost, EngineLost)
    assert lost.pages == []
    assert started[1].was_ended
    assert not started[0].was_ended
    (ended,) = [event for event in events if isinstance(event, EngineEnded)]
    assert "did not load within 600 s (--load-seconds raises the limit)" in ended.message
    pool.start()
    assert len(started) == 2


def test_the_only_engine_that_loads_too_long_ends_the_run() -> None:
    pool = pool_of(1, load_seconds=600)
    started[0].ready = None
    assert list(pool.expire()) == []
    started[0].started_at -= 601
    with pytest.raises(EngineDied, match="the engine did not load within 600 s"):
        list(pool.expire())
    assert started[0].was_ended


def test_an_engine_that_has_loaded_has_no_limit_on_loading() -> None:
    pool = pool_of(1, load_seconds=600)
    started[0].started_at -= 100_000
    assert list(pool.expire()) == []


def test_a_long_load_is_reported_after_five_minutes_and_after_each_five_more() -> None:
    events: list[Event] = []
    pool = pool_of(2, events)
    for engine in started:
        engine.ready = None
    for _ in range(11):
        started[1].started_at -= 60
        list(pool.expire())
    reports = [event for event in events if isinstance(event, EngineLoading)]
    assert [(event.engine, event.seconds, event.limit) for event in reports] == [
        (2, 300, 1800), (2, 600, 1800),
    ]  # fmt: skip


def test_an_engine_that_ended_without_closing_its_channel_is_noticed() -> None:
    pool = pool_of(1)
    sent = request(1)
    pool.send(sent)
    started[0].has_exited = True
    (lost,) = pool.expire()
    assert isinstance(lost, EngineLost)
    assert lost.pages == [sent.page]


def test_processes_of_an_engine_that_cannot_be_killed_are_named() -> None:
    events: list[Event] = []
    pool = pool_of(1, events, seconds=10)
    slow = request(1)
    pool.send(slow)
    slow.since -= 11
    started[0].last_message_at -= 11
    started[0].unkillable = (2**22 + 1,)
    list(pool.expire())
    (warned,) = [event for event in events if isinstance(event, Warned)]
    assert f"process {2**22 + 1} (ended by now) cannot be killed" in warned.message


def cards_of(engines: list[FakeEngine]) -> list[int]:
    return [engine.card for engine in engines]


def test_each_card_gets_its_engines_and_the_first_of_each_starts_first() -> None:
    pool_of(2, cards=2)
    assert cards_of(started) == [0, 1, 0, 1]
    assert [engine.environment["CUDA_VISIBLE_DEVICES"] for engine in started] == list("0101")


def test_no_more_engines_load_at_once_than_the_plan_allows() -> None:
    pool = pool_of(1, cards=3, starts_at_once=1)
    assert cards_of(started) == [0]
    pool.start()
    assert cards_of(started) == [0, 1]  # the first is ready
    started[1].ready = None
    pool.start()
    assert cards_of(started) == [0, 1]
    started[1].ready = "ready"
    pool.start()
    assert cards_of(started) == [0, 1, 2]


def test_an_engine_that_dies_is_started_again_on_its_card() -> None:
    pool = pool_of(1, cards=2)
    pool.send(request(1))
    assert isinstance(poll(pool, started[1], EngineDied(139)), EngineLost)
    pool.start()
    assert cards_of(started) == [0, 1, 1]


def test_a_card_on_which_no_engine_loads_is_done_without() -> None:
    events: list[Event] = []
    pool = pool_of(1, events, cards=2)
    started[1].ready = None
    poll(pool, started[1], EngineDied(1))
    pool.start()
    assert cards_of(started) == [0, 1]
    (ended,) = [event for event in events if isinstance(event, EngineEnded)]
    assert ended.message == (
        "an engine on GPU 1 (NVIDIA H200) ended with status 1: the run continues with the others"
    )


def test_a_card_whose_engines_keep_dying_is_given_up_while_others_answer() -> None:
    events: list[Event] = []
    pool = pool_of(1, events, cards=2)
    good = started[0]
    for _ in range(4):
        bad = started[-1]
        assert bad.card == 1
        poll(pool, bad, EngineDied(139))
        pool.send(request(1))
        poll(pool, good, answer("text", number=pool._last_number))
        pool.start()
    assert cards_of(started) == [0, 1, 1, 1, 1]
    ended = [event.message for event in events if isinstance(event, EngineEnded)]
    assert ended[-1] == (
        "the engine on GPU 1 (NVIDIA H200) ended with status 139; the run continues without that "
        "card, on which engines keep dying"
    )


def test_a_page_that_an_engine_died_with_goes_to_a_card_on_which_none_did() -> None:
    pool = pool_of(1, cards=2)
    poll(pool, started[1], EngineDied(139))
    pool.start()
    for number in range(3):
        pool.send(request(number))
    pool.send(request(9, deaths=1))
    by_card = {engine.card: engine.inside for engine in started if engine.inside}
    assert by_card == {0: {1, 3, 4}, 1: {2}}


def test_what_each_card_reads_and_how_long_it_is_idle_is_measured() -> None:
    pool = pool_of(1, cards=2)
    for _ in range(2):
        pool.send(request(1))
    poll(pool, started[0], answer("text", number=1))
    time.sleep(0.05)
    poll(pool, started[1], answer("text", number=2))
    first, second = pool.meters.uses(pool.engines_by_card)
    assert (first.label, first.engines, first.pages, first.tokens) == ("GPU 0", 1, 0, 4)
    pool.meters.count_page(1)
    assert [use.pages for use in pool.meters.uses(pool.engines_by_card)] == [0, 1]
    assert second.idle < 0.2 < first.idle
    assert pool.meters.seconds >= 0.05

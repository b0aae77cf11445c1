"""Cards that join a run while it reads, and that are lost: what becomes of their pages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.ocr.pipeline.plans import answer, page, plan

from dsk.errors import EngineMissing
from dsk.ocr.engines.connection import EngineConnection, EngineDied
from dsk.ocr.engines.worker import (
    EngineReady,
    PageRendered,
    ReaderEnded,
    RenderPage,
    StartFailed,
)
from dsk.ocr.ipc.channel import Channel
from dsk.ocr.pipeline.engine_pool import EngineLost, EnginePool, PageAnswered, RequestRendered
from dsk.ocr.pipeline.engine_source import CardJoined, SourceWarning
from dsk.ocr.schema.engine_config import CardPlacement
from dsk.ocr.schema.events import EngineEnded, Warned
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dsk.ocr.ipc.channel import Message
    from dsk.ocr.pipeline.page_state import EngineRequest
    from dsk.ocr.schema.events import Event


class Connection(EngineConnection):
    """A connection whose other end is this test's."""

    def __init__(self, number: int, card: int) -> None:
        channel, theirs = Channel.pair()
        super().__init__(channel, number, card)
        self.theirs = Channel(theirs)

    def check_alive(self) -> None:
        pass

    def ended(self, code: int, how: str) -> EngineDied:
        self.end()
        return EngineDied(code, how)

    def end(self) -> None:
        self.channel.close()
        self.theirs.close()

    def _died(self) -> EngineDied:
        return EngineDied(1, "was cut off", is_lost=True)


class Joining:
    """An `EngineSource` whose cards join when the test says so."""

    renders = True
    placement = None

    def __init__(self) -> None:
        self.changes: list[CardJoined | SourceWarning] = []
        self.connections: list[Connection] = []
        self.channels: list[Channel] = []
        self.opened = 0

    def open(self) -> None:
        self.opened += 1

    def start(self, number: int, card: int) -> Connection:
        self.connections.append(Connection(number, card))
        return self.connections[-1]

    def poll(self, channels: Sequence[Channel]) -> Iterator[CardJoined | SourceWarning]:
        changes, self.changes = self.changes, []
        yield from changes

    def close(self) -> None:
        pass


@pytest.fixture
def source() -> Iterator[Joining]:
    made = Joining()
    yield made
    for connection in made.connections:
        connection.end()


def pool_of(source: Joining, events: list[Event]) -> EnginePool:
    pool = EnginePool(source, plan(), events.append)
    pool.start()
    return pool


def join(pool: EnginePool, source: Joining, card: int) -> Connection:
    """Have a card join, and its engine load."""
    source.changes.append(CardJoined(card, CardPlacement(label=f"node{card} GPU 0", name="H200")))
    assert list(pool.poll([])) == []
    connection = source.connections[-1]
    say(pool, connection, EngineReady(settings={}, device="stub", capacity=8))
    return connection


def say(pool: EnginePool, connection: Connection, message: Message) -> list[Any]:
    connection.theirs.send(message)
    return list(pool.poll([connection.channel]))


def request(number: int = 1) -> EngineRequest:
    state = page(number)
    state.document_run.unpaged = Document(
        path=Path("a.pdf"), folder=Path("out"), page_count=9, pages=[]
    )
    (made,) = state.requests(plan())
    made.since = math.inf
    return made


def test_a_pool_without_cards_opens_its_source_once_and_waits(source: Joining) -> None:
    pool = pool_of(source, [])
    pool.start()
    assert source.opened == 1
    assert pool.is_loading
    assert not pool.has_room


def test_a_page_goes_out_by_its_number_and_its_rendering_and_answer_come_back(
    source: Joining,
) -> None:
    pool = pool_of(source, [])
    connection = join(pool, source, 0)
    asked = request(7)
    assert pool.send(asked) is None
    body, file = connection.theirs.receive()
    order = RenderPage.model_validate_json(body)
    assert (order.page, order.part, file) == (7, "whole", None)
    (rendered,) = say(pool, connection, PageRendered(number=order.number))
    assert isinstance(rendered, RequestRendered)
    assert rendered.request is asked
    (answered,) = say(pool, connection, answer("text", number=order.number))
    assert isinstance(answered, PageAnswered)
    assert len(pool) == 0


def test_a_page_that_cannot_be_rendered_leaves_the_engine(source: Joining) -> None:
    pool = pool_of(source, [])
    connection = join(pool, source, 0)
    pool.send(request())
    failed = PageRendered(number=1, status=Status.RENDER_FAILED, reason="damaged")
    (rendered,) = say(pool, connection, failed)
    assert isinstance(rendered, RequestRendered)
    assert (len(pool), connection.inside) == (0, set())


def test_a_lost_machine_is_no_death_and_its_card_reads_again_when_it_is_back(
    source: Joining,
) -> None:
    events: list[Event] = []
    pool = pool_of(source, events)
    first, second = join(pool, source, 0), join(pool, source, 1)
    asked = request()
    pool.send(asked)
    taker = first if first.inside else second
    gone = ReaderEnded(code=1, how="was lost with its node", is_lost=True)
    (lost,) = say(pool, taker, gone)
    assert isinstance(lost, EngineLost)
    assert (lost.pages, lost.is_lost, lost.isolated) == ([asked.page], True, False)
    ends = [event.message for event in events if isinstance(event, EngineEnded)]
    assert ends == [f"the engine on node{taker.card} GPU 0 (H200) was lost with its node"]
    pool.start()
    assert len(source.connections) == 2
    join(pool, source, taker.card)
    assert len(source.connections) == 3
    assert pool.engines_by_card == [1, 1]


def test_the_only_machine_may_be_lost_any_number_of_times(source: Joining) -> None:
    pool = pool_of(source, [])
    for _ in range(9):
        connection = join(pool, source, 0)
        pool.send(request())
        connection.theirs.close()
        (lost,) = pool.poll([connection.channel])
        assert isinstance(lost, EngineLost)
        assert lost.is_lost
    assert pool.is_loading


def test_an_engine_that_cannot_be_started_on_one_node_costs_that_node(source: Joining) -> None:
    events: list[Event] = []
    pool = pool_of(source, events)
    join(pool, source, 0)
    source.changes.append(CardJoined(1, CardPlacement(label="node1 GPU 0")))
    list(pool.poll([]))
    failed = StartFailed(message="no such GPU", do="look", exit_code=EngineMissing.exit_code)
    (lost,) = say(pool, source.connections[-1], failed)
    assert isinstance(lost, EngineLost)
    (end,) = [event.message for event in events if isinstance(event, EngineEnded)]
    assert end.startswith("an engine on node1 GPU 0 could not be started: no such GPU")


def test_an_engine_that_cannot_be_started_anywhere_ends_the_run(source: Joining) -> None:
    pool = pool_of(source, [])
    source.changes.append(CardJoined(0, CardPlacement(label="node0 GPU 0")))
    list(pool.poll([]))
    failed = StartFailed(message="no such GPU", do="look", exit_code=EngineMissing.exit_code)
    with pytest.raises(EngineMissing, match="no such GPU"):
        say(pool, source.connections[-1], failed)


def test_warnings_of_the_source_are_passed_on(source: Joining) -> None:
    events: list[Event] = []
    pool = pool_of(source, events)
    source.changes.append(SourceWarning("a node waits"))
    list(pool.poll([]))
    assert events[-1] == Warned(message="a node waits")

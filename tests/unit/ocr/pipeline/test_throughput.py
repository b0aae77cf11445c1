"""Reports of a run's throughput: at most one a second, with the stage that limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dsk.ocr.pipeline.throughput import Throughput
from dsk.ocr.schema.events import Moving

if TYPE_CHECKING:
    from dsk.ocr.schema.events import Event

NOTHING: dict[str, Any] = {
    "rendering": 0,
    "ready": 0,
    "reading": 0,
    "writing": 0,
    "engines_loading": False,
    "outputs_full": False,
}


@pytest.mark.parametrize(
    ("state", "limiting"),
    [
        ({"outputs_full": True, "engines_loading": True, "ready": 3}, "writing"),
        ({"engines_loading": True, "ready": 3}, "engine start"),
        ({"ready": 3, "rendering": 1}, "engine"),
        ({"rendering": 1}, "rendering"),
        ({"reading": 3}, "engine"),
        ({"reading": 3, "writing": 1}, "engine"),
        ({"writing": 1}, "writing"),
    ],
)
def test_the_stage_that_the_others_wait_for_is_named(state: dict[str, Any], limiting: str) -> None:
    events: list[Event] = []
    Throughput(events.append).report(**NOTHING | state)
    (event,) = events
    assert isinstance(event, Moving)
    assert event.waits_for == limiting


def test_two_reports_within_a_second_are_one() -> None:
    events: list[Event] = []
    throughput = Throughput(events.append)
    throughput.report(**NOTHING)
    throughput.report(**NOTHING)
    assert len(events) == 1


def test_the_clock_starts_with_the_first_page() -> None:
    events: list[Event] = []
    throughput = Throughput(events.append)
    throughput.count_sent("a.pdf", 1.0)
    throughput.count_sent("b.pdf", 10.0**12)
    throughput.pages, throughput.tokens = 2, 300
    throughput.report(**NOTHING)
    (event,) = events
    assert isinstance(event, Moving)
    assert event.seconds > 0
    assert (event.pages, event.tokens) == (2, 300)


def test_time_counts_for_the_stage_that_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100.0, 107.0, 110.0))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    events: list[Event] = []
    throughput = Throughput(events.append)
    throughput.report(**NOTHING | {"engines_loading": True})
    throughput.report(**NOTHING | {"rendering": 1})
    throughput.report(**NOTHING | {"reading": 1})
    assert throughput.waited == {"engine start": 7.0, "rendering": 3.0}

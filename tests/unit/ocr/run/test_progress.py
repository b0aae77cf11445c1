"""What a run shows on the way, by how much is asked for."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from rich.console import Console

from dsk import console
from dsk.ocr.run.progress import Detail, progress
from dsk.ocr.schema.events import CardsUsed, Moving, PageDone, Stopping, Warned
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    import pytest

    from dsk.ocr.schema.events import Event

PAGE = PageDone(document="a.pdf", page=1, status=Status.OK, tokens=7)
WARNED = Warned(message="an engine is slow")
STOPPING = Stopping(reading=1, immediate=False)
MOVING = Moving(
    rendering=0, ready=0, reading=1, writing=0, seconds=1, pages=1, tokens=7, waits_for="engine"
)
EVENTS: tuple[Event, ...] = (
    PAGE,
    MOVING,
    WARNED,
    STOPPING,
    CardsUsed(seconds=1, cards=(), waited={}),
)


def shown(monkeypatch: pytest.MonkeyPatch, detail: Detail, *, terminal: bool = False) -> list[str]:
    stream = io.StringIO()
    made = Console(file=stream, width=80, force_terminal=terminal, color_system=None)
    monkeypatch.setattr(console, "err", lambda: made)
    with progress(2, detail=detail) as listener:
        for event in EVENTS:
            listener(event)
    return stream.getvalue().splitlines()


def test_in_a_file_each_page_and_each_warning_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, Detail.NORMAL) == [
        "[1/2] a.pdf page 1: ok, 7 tokens",
        "warning: an engine is slow",
        "stopping: finishing 1 page in the engine. Ctrl-C again gives them up",
    ]
    assert any("waiting for engine" in line for line in shown(monkeypatch, Detail.VERBOSE))


def test_a_quiet_run_warns_and_says_that_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, Detail.QUIET)
    assert lines[0] == "warning: an engine is slow"
    assert lines[1].startswith("stopping: ")
    assert not any("a.pdf" in line for line in lines)


def test_a_terminal_keeps_the_warnings_above_a_bar_that_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "\n".join(shown(monkeypatch, Detail.NORMAL, terminal=True))
    assert "warning: an engine is slow" in text
    assert "finishing 1 page in the engine" in text
    assert "a.pdf page 1: ok" not in text
    text = "\n".join(shown(monkeypatch, Detail.VERBOSE, terminal=True))
    assert "a.pdf page 1: ok" in text


def test_events_are_lines_of_json_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(monkeypatch, Detail.EVENTS) == []
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in printed] == [
        "page",
        "moving",
        "warned",
        "stopping",
        "cards-used",
    ]
    assert printed[0]["document"] == "a.pdf"

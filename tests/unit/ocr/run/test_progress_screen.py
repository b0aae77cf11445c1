"""The moving lines of a run: what they say, and that none is wider than the terminal."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from dsk.ocr.run.progress_screen import ProgressScreen, shortened
from dsk.ocr.schema.events import CardUse, Moving, PageDone, Starting, Stopping
from dsk.ocr.schema.page_record import Status

LONG = "2024-03-11 scan of a contract with a very long name and its number at the end 0047.pdf"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def moving(seconds: float, document: str = "book.pdf", **changes: object) -> Moving:
    usual: dict[str, object] = {
        "rendering": 3, "ready": 40, "reading": 500, "writing": 0, "seconds": seconds,
        "pages": 100, "tokens": 80_000, "waits_for": "engine", "document": document,
    }  # fmt: skip
    return Moving.model_validate(usual | changes)


def page(number: int, status: Status = Status.OK, *, taken_over: bool = False) -> PageDone:
    return PageDone(document="book.pdf", page=number, status=status, taken_over=taken_over)


def plain(screen: ProgressScreen, width: int = 79, **options: bool) -> list[str]:
    return [line.plain for line in screen.lines(width, **options)]


def test_the_start_moves_and_says_how_long_it_usually_takes() -> None:
    clock = Clock()
    screen = ProgressScreen(5, usual_start="1 to 3 min", clock=clock)
    screen.take(Starting(what="loading the model"))
    clock.now = 70.0
    screen.take(moving(0, "", pages=0, ready=5, reading=0, waits_for="engine start"))
    first, second = plain(screen)
    assert first[1:] == " Loading the model: 1 min 10 s (usually 1 to 3 min)"
    assert second == "  0 of 5 pages done, 5 rendered and waiting"
    clock.now = 70.2
    assert plain(screen)[0] != first


def reading(clock: Clock, document: str = "book.pdf") -> ProgressScreen:
    """Of 5000 pages 1200, twelve of them not whole, in 130 s; then nothing for a minute."""
    screen = ProgressScreen(5000, clock=clock)
    for number in range(1200):
        screen.take(page(number + 1, Status.OK if number % 100 else Status.LOOPED))
    clock.now = 130.0
    screen.take(moving(130.0, document))
    return screen


def test_a_bar_has_the_count_the_time_left_the_pace_the_failed_and_the_document() -> None:
    bar, document = plain(reading(Clock()))
    assert bar.endswith("  1,200/5,000  6 min 52 s left  9.23 pages/s  12 failed")
    assert bar.count("━") == int(0.24 * 24)
    assert bar.count("━") + bar.count("─") == 24
    assert document[1:] == " book.pdf"


def test_the_pace_is_that_of_the_last_minute() -> None:
    clock = Clock()
    screen = reading(clock)
    clock.now = 190.0
    for number in range(30):
        screen.take(page(1201 + number))
    assert "  0.50 pages/s  " in plain(screen)[0]


def test_pages_of_an_earlier_run_count_as_done_and_not_as_pace() -> None:
    clock = Clock()
    screen = ProgressScreen(10, clock=clock)
    for number in range(8):
        screen.take(page(number + 1, taken_over=True))
    clock.now = 4.0
    screen.take(moving(4.0))
    assert plain(screen)[0].endswith("  8/10  4 s so far  0 failed")
    screen.take(page(9))
    assert plain(screen)[0].endswith("  9/10  4 s left  0.25 pages/s  0 failed")


@pytest.mark.parametrize("width", [1, 7, 20, 40, 60, 79, 119, 250])
@pytest.mark.parametrize("document", ["a.pdf", LONG, "契約書" * 30, "\u0301" * 90])
def test_no_line_is_wider_than_the_terminal(width: int, document: str) -> None:
    screen = reading(Clock(), document)
    screen.take(moving(130.0, document, cards=(CardUse(engines=1, pages=1, tokens=1, idle=0),)))
    for ascii_only in (True, False):
        lines = plain(screen, width, ascii_only=ascii_only)
        assert max(cell_len(line) for line in lines) <= width
        if ascii_only and document in ("a.pdf", LONG):
            assert all(line.isascii() for line in lines)


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shortened(LONG, 40) == "2024-03-11 scan of...at the end 0047.pdf"
    assert shortened("a.pdf", 40) == "a.pdf"


def test_what_is_being_stopped_is_seen() -> None:
    screen = reading(Clock())
    screen.take(Stopping(reading=500, immediate=False))
    assert plain(screen)[1][1:] == " stopping; 500 pages in the engine"


def test_the_queues_are_shown_to_those_who_ask() -> None:
    clock = Clock()
    screen = ProgressScreen(10, shows_queues=True, clock=clock)
    clock.now = 10.0
    screen.take(moving(10.0))
    assert plain(screen, 200)[2].strip().startswith("10.00 pages/s, 8000 tokens/s; 3 rendering")


def test_the_console_draws_it_without_a_line_break() -> None:
    for width in (80, 120):
        stream = io.StringIO()
        console = Console(file=stream, width=width, force_terminal=True, color_system=None)
        console.print(reading(Clock(), LONG), end="")
        lines = stream.getvalue().splitlines()
        assert len(lines) == 2
        assert max(cell_len(line) for line in lines) <= width - 1

"""Events in words: pages, cards, times, and what the next Ctrl-C does."""

from __future__ import annotations

import pytest

from dsk.ocr.run.event_text import duration, pages, text, use_of_cards
from dsk.ocr.schema.events import CardsUsed, CardUse, Moving, Stopping

CARDS = (
    CardUse(label="GPU 0", engines=2, pages=120, tokens=96_000, idle=0.02),
    CardUse(label="GPU 1", engines=1, pages=80, tokens=64_000, idle=0.254),
)


def moving(cards: tuple[CardUse, ...]) -> str:
    return text(
        Moving(
            rendering=3, ready=4, reading=512, writing=0, seconds=10.0, pages=200, tokens=160_000,
            waits_for="engine", cards=cards,
        )
    )  # fmt: skip


def test_several_cards_are_named_with_their_pace() -> None:
    assert moving(CARDS).startswith("20.00 pages/s (GPU 0 12.00, GPU 1 8.00), 16000 tokens/s; ")
    assert moving(CARDS[:1]).startswith("20.00 pages/s, 16000 tokens/s; ")


def test_the_end_says_what_each_card_cost() -> None:
    event = CardsUsed(
        seconds=10.0, cards=CARDS, waited={"rendering": 2.5, "engine": 8.0, "writing": 0.01}
    )
    assert use_of_cards(event) == [
        "20.00 pages/s: 200 pages read in 10 s",
        "GPU 0, 2 engines: 120 pages, 12.00 pages/s, 9600 tokens/s, idle 2% of the time",
        "GPU 1, 1 engine: 80 pages, 8.00 pages/s, 6400 tokens/s, idle 25% of the time",
        "waited for: engine 8 s, rendering 2 s",
    ]


def test_what_has_no_name_is_not_listed() -> None:
    used = CardUse(engines=1, pages=3, tokens=30, idle=0.0)
    event = CardsUsed(seconds=2.0, cards=(used,), waited={})
    assert use_of_cards(event) == ["1.50 pages/s: 3 pages read in 2 s", "waited for: nothing"]
    one = CardUse(engines=1, pages=1, tokens=10, idle=0.0)
    event = CardsUsed(seconds=2.0, cards=(one,), waited={})
    assert use_of_cards(event) == ["0.50 pages/s: 1 page read in 2 s", "waited for: nothing"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (500, "8 min 20 s"), (7500, "2 h 05 min")],
)
def test_times_are_rounded_to_what_matters(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_number_has_its_noun() -> None:
    assert (pages(1), pages(0), pages(12_345)) == ("1 page", "0 pages", "12,345 pages")


@pytest.mark.parametrize(
    ("reading", "immediate", "words"),
    [
        (5, False, "stopping: finishing 5 pages in the engine. Ctrl-C again gives them up"),
        (0, False, "stopping: writing what is complete. Ctrl-C again stops at once"),
        (
            2,
            True,
            "stopping at once; 2 pages of the engine are left. Ctrl-C again kills all processes",
        ),
        (0, True, "stopping at once. Ctrl-C again kills all processes"),
    ],
)
def test_a_stop_says_what_happens_now_and_what_the_next_press_does(
    reading: int, immediate: bool, words: str
) -> None:
    assert text(Stopping(reading=reading, immediate=immediate)) == words

"""What a run says of its cards, while it reads and at the end."""

from __future__ import annotations

from dsk.ocr.run.progress import _text
from dsk.ocr.schema.events import CardsUsed, CardUse, Moving

CARDS = (
    CardUse(label="GPU 0", engines=2, pages=120, tokens=96_000, idle=0.02),
    CardUse(label="GPU 1", engines=1, pages=80, tokens=64_000, idle=0.254),
)


def moving(cards: tuple[CardUse, ...]) -> str:
    return _text(
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
    assert _text(event).splitlines() == [
        "200 pages read in 10.0 s: 20.00 pages/s",
        "GPU 0, 2 engines: 120 pages, 12.00 pages/s, 9600 tokens/s, idle 2% of the time",
        "GPU 1, 1 engine: 80 pages, 8.00 pages/s, 6400 tokens/s, idle 25% of the time",
        "waited for: engine 8.0 s, rendering 2.5 s",
    ]


def test_what_has_no_name_is_not_listed() -> None:
    used = CardUse(engines=1, pages=3, tokens=30, idle=0.0)
    event = CardsUsed(seconds=2.0, cards=(used,), waited={})
    assert _text(event) == "3 pages read in 2.0 s: 1.50 pages/s\nwaited for: nothing"
    one = CardUse(engines=1, pages=1, tokens=10, idle=0.0)
    event = CardsUsed(seconds=2.0, cards=(one,), waited={})
    assert _text(event) == "1 page read in 2.0 s: 0.50 pages/s\nwaited for: nothing"

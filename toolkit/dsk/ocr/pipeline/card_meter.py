"""Meters of a run's cards: pages and tokens that each has read, and the time that it stood idle."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsk.ocr.schema.events import CardUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.ocr.schema.engine_config import CardPlacement


@dataclass
class _Meter:
    pages: int = 0
    tokens: int = 0
    busy_seconds: float = 0.0
    busy_since: float | None = None


class CardMeters:
    """Meters of all cards. Their time begins with the first page that any of them gets."""

    def __init__(self) -> None:
        self._cards: list[CardPlacement] = []
        self._meters: list[_Meter] = []
        self._began: float | None = None
        self._ended = 0.0

    @property
    def seconds(self) -> float:
        """Seconds from the first page to the last answer; 0 without a page."""
        return self._ended - self._began if self._began is not None else 0.0

    def add(self, cards: Sequence[CardPlacement]) -> None:
        """Add cards, whose positions follow those of the cards before."""
        self._cards += cards
        self._meters += [_Meter() for _ in cards]

    def occupy(self, card: int, pages: int) -> None:
        """Note how many pages a card's engines have now.

        Args:
            card: its position among the cards.
            pages: those that wait for an answer.
        """
        now = time.monotonic()
        meter = self._meters[card]
        if pages and meter.busy_since is None:
            meter.busy_since = now
            if self._began is None:
                self._began = now
        elif not pages and meter.busy_since is not None:
            meter.busy_seconds += now - meter.busy_since
            meter.busy_since = None
        self._ended = now

    def count_tokens(self, card: int, tokens: int) -> None:
        """Count the tokens of an answer of a card's."""
        self._meters[card].tokens += tokens

    def count_page(self, card: int) -> None:
        """Count a page that has ended, for the card that read it last."""
        self._meters[card].pages += 1

    def uses(self, engines: Sequence[int], *, now: float | None = None) -> tuple[CardUse, ...]:
        """Return what each card has read so far.

        Args:
            engines: number of engines of each card.
            now: the end of the time that counts, in `time.monotonic` seconds; by default the last
                answer.
        """
        end = self._ended if now is None else now
        seconds = end - self._began if self._began is not None else 0.0
        return tuple(
            CardUse(
                label=card.label,
                engines=count,
                pages=meter.pages,
                tokens=meter.tokens,
                idle=round(_idle(meter, end, seconds), 4),
            )
            for card, meter, count in zip(self._cards, self._meters, engines, strict=True)
        )


def _idle(meter: _Meter, end: float, seconds: float) -> float:
    busy = meter.busy_seconds
    if meter.busy_since is not None:
        busy += max(0.0, end - meter.busy_since)
    return min(1.0, max(0.0, 1 - busy / seconds)) if seconds > 0 else 0.0

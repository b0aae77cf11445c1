"""Events of a run in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.ocr.schema.events import (
    EngineEnded,
    Moving,
    OutputsMissing,
    PageDone,
    Starting,
    Stopping,
    Warned,
)

if TYPE_CHECKING:
    from dsk.ocr.schema.events import CardsUsed, Event


def text(event: Event) -> str:
    """Return an event as a line; empty for one that is told elsewhere."""
    match event:
        case Starting():
            line = event.what
        case PageDone():
            line = _page(event)
        case Moving():
            line = pace(event)
        case Stopping():
            line = _stopping(event)
        case Warned() | EngineEnded() | OutputsMissing():
            line = f"warning: {event.message}"
        case _:
            line = ""
    return line


def duration(seconds: float) -> str:
    """Return a time for people, such as ``40 s``, ``8 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def pages(count: int) -> str:
    """Return a number of pages with its noun."""
    return "1 page" if count == 1 else f"{count:,} pages"


def pace(event: Moving) -> str:
    """Return the pace, the queues, and what the pages wait for."""
    queues = f"{event.rendering} rendering, {event.ready} ready, {event.reading} reading"
    if event.writing:
        queues += f", {event.writing} writing"
    if not event.pages:
        return f"{queues}; waiting for {event.waits_for}"
    read, tokens = event.pages / event.seconds, event.tokens / event.seconds
    speed = f"{read:.2f} pages/s"
    if len(event.cards) > 1:
        each = (f"{card.label} {card.pages / event.seconds:.2f}" for card in event.cards)
        speed += f" ({', '.join(each)})"
    return f"{speed}, {tokens:.0f} tokens/s; {queues}; waiting for {event.waits_for}"


def use_of_cards(event: CardsUsed) -> list[str]:
    """Return what was read at what pace, in all and by each card, and what the run waited for."""
    total, seconds = sum(card.pages for card in event.cards), event.seconds
    if not (total and seconds):
        return ["no page was read by an engine"]
    lines = [f"{total / seconds:.2f} pages/s: {pages(total)} read in {duration(seconds)}"]
    for card in event.cards if event.cards[0].label else ():
        engines = "1 engine" if card.engines == 1 else f"{card.engines} engines"
        speed = f"{card.pages / seconds:.2f} pages/s, {card.tokens / seconds:.0f} tokens/s"
        lines.append(
            f"{card.label}, {engines}: {card.pages} pages, {speed}, idle {card.idle:.0%} of "
            "the time"
        )
    longest = sorted(event.waited.items(), key=lambda item: -item[1])
    waits = (f"{stage} {duration(spent)}" for stage, spent in longest if spent >= 0.05)
    return [*lines, f"waited for: {', '.join(waits) or 'nothing'}"]


def _page(event: PageDone) -> str:
    kept = ", read before" if event.taken_over else ""
    how = "" if event.how == "asked" else f" ({event.how})"
    where = f"{event.document} page {event.page}"
    return f"{where}: {event.status}{how}, {event.tokens} tokens{kept}"


def _stopping(event: Stopping) -> str:
    """Return what happens now, and what the next Ctrl-C does."""
    if event.immediate:
        left = f"; {pages(event.reading)} of the engine are left" if event.reading else ""
        return f"stopping at once{left}. Ctrl-C again kills all processes"
    if not event.reading:
        return "stopping: writing what is complete. Ctrl-C again stops at once"
    return f"stopping: finishing {pages(event.reading)} in the engine. Ctrl-C again gives them up"

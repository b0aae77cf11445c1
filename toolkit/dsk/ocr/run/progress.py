"""Show a run's progress: a bar on a terminal, a line for each page elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dsk import console
from dsk.ocr.schema.events import (
    CardsUsed,
    EngineEnded,
    Moving,
    OutputsMissing,
    PageDone,
    Starting,
    Warned,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.schema.events import Event, Listener


@contextlib.contextmanager
def progress(pages: int) -> Iterator[Listener]:
    """Yield a listener that shows on stderr how many of ``pages`` have ended."""
    if not console.err().is_terminal:
        yield _lines(pages)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console.err(), transient=True) as bar:
        task = bar.add_task("starting the engine", total=pages)

        def show(event: Event) -> None:
            if isinstance(event, Warned | OutputsMissing | EngineEnded | CardsUsed):
                bar.console.print(_text(event), markup=False)
            elif isinstance(event, PageDone):
                bar.update(task, advance=1)
            else:
                bar.update(task, description=_text(event))

        yield show


def _lines(pages: int) -> Listener:
    done = 0

    def show(event: Event) -> None:
        nonlocal done
        done += isinstance(event, PageDone)
        count = f"[{done}/{pages}] " if isinstance(event, PageDone) else ""
        if not isinstance(event, Moving):
            console.err().print(count + _text(event), markup=False)

    return show


def _text(event: Event) -> str:
    match event:
        case Starting():
            return event.what
        case PageDone():
            kept = ", read before" if event.taken_over else ""
            how = "" if event.how == "asked" else f" ({event.how})"
            where = f"{event.document} page {event.page}"
            return f"{where}: {event.status}{how}, {event.tokens} tokens{kept}"
        case Moving():
            return _pace(event)
        case CardsUsed():
            return _cost(event)
        case Warned() | EngineEnded() | OutputsMissing():
            return f"warning: {event.message}"
        case _:
            return ""


def _pace(event: Moving) -> str:
    """Return the pace, the queues, and what the pages wait for."""
    queues = f"{event.rendering} rendering, {event.ready} ready, {event.reading} reading"
    if event.writing:
        queues += f", {event.writing} writing"
    if not event.pages:
        return f"{queues}; waiting for {event.waits_for}"
    pages, tokens = event.pages / event.seconds, event.tokens / event.seconds
    pace = f"{pages:.2f} pages/s"
    if len(event.cards) > 1:
        each = (f"{card.label} {card.pages / event.seconds:.2f}" for card in event.cards)
        pace += f" ({', '.join(each)})"
    return f"{pace}, {tokens:.0f} tokens/s; {queues}; waiting for {event.waits_for}"


def _cost(event: CardsUsed) -> str:
    """Return what each card read, how long it stood idle, and what the run waited for."""
    total, seconds = sum(card.pages for card in event.cards), event.seconds
    if not (total and seconds):
        return "no page was read by an engine"
    read = "1 page" if total == 1 else f"{total} pages"
    lines = [f"{read} read in {seconds:.1f} s: {total / seconds:.2f} pages/s"]
    for card in event.cards if event.cards[0].label else ():
        engines = "1 engine" if card.engines == 1 else f"{card.engines} engines"
        pace = f"{card.pages / seconds:.2f} pages/s, {card.tokens / seconds:.0f} tokens/s"
        lines.append(
            f"{card.label}, {engines}: {card.pages} pages, {pace}, idle {card.idle:.0%} of the time"
        )
    longest = sorted(event.waited.items(), key=lambda item: -item[1])
    waits = (f"{stage} {spent:.1f} s" for stage, spent in longest if spent >= 0.05)
    return "\n".join([*lines, f"waited for: {', '.join(waits) or 'nothing'}"])

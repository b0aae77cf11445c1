"""Show a run's progress: a bar on a terminal, a line for each page elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dsk import console
from dsk.ocr.schema.events import EngineEnded, Moving, PageDone, Starting, Warned

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
            if isinstance(event, Warned | EngineEnded):
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
        case Warned() | EngineEnded():
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
    return f"{pages:.2f} pages/s, {tokens:.0f} tokens/s; {queues}; waiting for {event.waits_for}"

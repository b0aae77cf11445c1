"""How far a run is: a bar on a terminal, a line for each page elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dsk import console
from dsk.ocr.job import PageDone, Starting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.job import Event
    from dsk.ocr.launch import Listener


@contextlib.contextmanager
def progress(pages: int) -> Iterator[Listener]:
    """A listener that shows, on stderr, how many of ``pages`` have ended."""
    if not console.err().is_terminal:
        yield _lines(pages)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console.err(), transient=True) as bar:
        task = bar.add_task("starting the engine", total=pages)

        def show(event: Event) -> None:
            bar.update(task, description=_said(event), advance=isinstance(event, PageDone))

        yield show


def _lines(pages: int) -> Listener:
    done = 0

    def show(event: Event) -> None:
        nonlocal done
        done += isinstance(event, PageDone)
        count = f"[{done}/{pages}] " if isinstance(event, PageDone) else ""
        console.err().print(count + _said(event), markup=False)

    return show


def _said(event: Event) -> str:
    match event:
        case Starting():
            return event.what
        case PageDone():
            return f"{event.document} page {event.page}: {event.status}, {event.tokens} tokens"
        case _:
            return event.message

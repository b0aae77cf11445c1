"""Show a run's progress: a moving bar on a terminal, a line for each page elsewhere."""

from __future__ import annotations

import contextlib
import enum
from typing import TYPE_CHECKING, Final

from dsk import console
from dsk.ocr.run.event_text import text
from dsk.ocr.schema.events import (
    CardsUsed,
    EngineEnded,
    Moving,
    OutputsMissing,
    PageDone,
    Stopping,
    Warned,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.schema.events import Event, Listener

# Events that stay on the screen, and that a quiet run shows as well.
_KEPT: Final = (Warned, OutputsMissing, EngineEnded, Stopping)


class Detail(enum.Enum):
    """How much of a run is shown."""

    QUIET = "quiet"
    """Warnings alone."""
    NORMAL = "normal"
    VERBOSE = "verbose"
    """Every page as it ends, the queues, and what each stage waited for."""
    EVENTS = "events"
    """Every event as a line of JSON on standard output."""


@contextlib.contextmanager
def progress(
    pages: int, *, usual_start: str = "", detail: Detail = Detail.NORMAL
) -> Iterator[Listener]:
    """Yield a listener that shows how many of ``pages`` have ended; all but JSON on stderr.

    Args:
        pages: pages that the run has in all.
        usual_start: how long the engine usually takes to start, in words.
        detail: how much is shown.
    """
    if detail is Detail.EVENTS:
        yield lambda event: console.echo_json(event.model_dump_json())
    elif detail is Detail.QUIET:
        yield _warnings
    elif console.err().is_terminal:
        with _bar(pages, usual_start, detail) as listener:
            yield listener
    else:
        yield _lines(pages, detail)


@contextlib.contextmanager
def _bar(pages: int, usual_start: str, detail: Detail) -> Iterator[Listener]:
    from rich.live import Live

    from dsk.ocr.run.progress_screen import ProgressScreen

    shows_queues = detail is Detail.VERBOSE
    screen = ProgressScreen(pages, usual_start=usual_start, shows_queues=shows_queues)
    # Eight times a second something moves: a screen that stands still looks like a program that
    # hangs, and an engine loads for minutes.
    with Live(
        screen,
        console=console.err(),
        refresh_per_second=8,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:

        def show(event: Event) -> None:
            screen.take(event)
            is_line = isinstance(event, _KEPT)
            if is_line or (detail is Detail.VERBOSE and isinstance(event, PageDone)):
                live.console.print(text(event), markup=False)

        yield show


def _lines(pages: int, detail: Detail) -> Listener:
    done = 0

    def show(event: Event) -> None:
        nonlocal done
        done += isinstance(event, PageDone)
        count = f"[{done}/{pages}] " if isinstance(event, PageDone) else ""
        # The summary at the end has the cards; the queues are of interest now and then.
        if not isinstance(event, CardsUsed | Moving) or (
            detail is Detail.VERBOSE and isinstance(event, Moving)
        ):
            console.err().print(count + text(event), markup=False)

    return show


def _warnings(event: Event) -> None:
    if isinstance(event, _KEPT):
        console.err().print(text(event), markup=False)

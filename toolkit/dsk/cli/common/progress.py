"""Progress of the creation of an environment, shown on stderr."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dsk import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.matrix import Stack
    from dsk.runtime.environments import Environment
    from dsk.runtime.install import Progress


def create_environment(stack: Stack) -> Environment:
    """Create a stack's environment and show the progress."""
    from dsk.runtime import environments

    with progress() as on_progress:
        return environments.create(stack, progress=on_progress)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Yield a progress callback: a bar on a terminal, elsewhere a line for each new step."""
    # A bar in a log file would be thousands of control sequences.
    if not console.err().is_terminal:
        yield _line_by_line()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console.err(), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total or None, description=doing)

        yield show


def _line_by_line() -> Progress:
    last = ""

    def show(done: int, total: int, doing: str) -> None:
        nonlocal last
        if doing != last:
            last = doing
            count = f"[{done}/{total}] " if total else ""
            console.err().print(count + doing, markup=False)

    return show

"""What a person sees: one console for answers (stdout), one for everything else (stderr)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@functools.cache
def out() -> Console:
    """The console for a command's answer. Colours only on a terminal; NO_COLOR is honoured."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@functools.cache
def err() -> Console:
    """The console for progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """Say, in one line on stderr, what the user should know but need not act on at once."""
    err().print(f"[yellow]warning:[/] {_escape(message)}")


def fail(message: str) -> None:
    """Say an error, once, in one line on stderr."""
    err().print(f"[red]error:[/] {_escape(message)}")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)

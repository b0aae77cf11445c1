"""Consoles: stdout for a command's answer, stderr for progress, warnings and errors."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@functools.cache
def out() -> Console:
    """Return the console for a command's answer."""
    from rich.console import Console

    # Rich itself honours NO_COLOR and drops colours where there is no terminal. Its highlighter
    # would colour numbers inside paths, and its wrapping would break commands that users copy.
    return Console(highlight=False, soft_wrap=True)


@functools.cache
def err() -> Console:
    """Return the console for progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """Print a warning, one line on stderr."""
    err().print(f"[yellow]warning:[/] {_escape(message)}")


def fail(message: str) -> None:
    """Print an error, one line on stderr."""
    err().print(f"[red]error:[/] {_escape(message)}")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)

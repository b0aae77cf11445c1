"""Consoles: stdout for a command's answer, stderr for progress, warnings and errors.

All that a command prints goes through this module, which lets no control character of somebody
else's reach the terminal, and no password of a URL.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from dsk import urls
from dsk.control_characters import escaped_in_json, visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


def open_closed_streams() -> None:
    """Open ``/dev/null`` in place of each standard stream that the caller has closed.

    Otherwise the next file that is opened would get its number, and with it what is printed.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken: streams are opened in the order of their numbers.
            os.open(os.devnull, os.O_RDWR)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def discard_output() -> None:
    """Send what is left of stdout nowhere: Python writes it once more when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@functools.cache
def out() -> Console:
    """Return the console for a command's answer."""
    return _console()


@functools.cache
def err() -> Console:
    """Return the console for progress, warnings and errors."""
    return _console(stderr=True)


def _console(**options: Any) -> Console:
    from rich.console import Console

    class VisibleConsole(Console):
        """A console that writes control characters in texts as their escapes."""

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                # Control segments are rich's own: they move the cursor of a progress bar.
                yield segment if segment.control else segment._replace(text=_harmless(segment.text))

    # Rich itself honours NO_COLOR and drops colours where there is no terminal. Its highlighter
    # would colour numbers inside paths, and its wrapping would break commands that users copy. Its
    # markup and emoji codes in somebody's file name would be carried out.
    return VisibleConsole(highlight=False, soft_wrap=True, markup=False, emoji=False, **options)


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text as it is, without rich, which takes 0.1 s to import."""
    import click

    click.echo(_harmless(text), err=err, nl=nl)


def echo_json(text: str) -> None:
    """Print JSON, in which control characters have the escapes of JSON."""
    import click

    click.echo(escaped_in_json(urls.masked(text)))


def warn(message: str) -> None:
    """Print a warning, one line on stderr."""
    err().print(f"[yellow]warning:[/] {_escape(message)}", markup=True)


def fail(message: str) -> None:
    """Print an error, one line on stderr."""
    err().print(f"[red]error:[/] {_escape(message)}", markup=True)


def print_traceback(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print an exception that nobody has caught; for `sys.excepthook`."""
    import traceback as formatting

    if issubclass(kind, KeyboardInterrupt):  # a second one, while the first is dealt with
        sys.stderr.write("interrupted\n")
        return
    sys.stderr.write(_harmless("".join(formatting.format_exception(kind, error, traceback))))


def _harmless(text: str) -> str:
    """Return a text as it may be printed: nothing steers the terminal, no URL holds a password."""
    return visible(urls.masked(text))


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)

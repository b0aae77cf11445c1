"""`dsk explain`: which known failure a log tells of, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import click

from dsk.errors import InputUnreadable


@click.command()
@click.argument("log", metavar="LOG|-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
@click.option(
    "--stack",
    envvar="DSK_STACK",
    default="",
    metavar="ID",
    help="The stack that failed: its pins are named. [default: $DSK_STACK, else none]",
)
def command(log: str, *, as_json: bool, stack: str) -> None:
    """Say what went wrong in a LOG of vLLM, pip, docker or the model's own scripts.

    Prints each cause with the lines that prove it, what to do, and where that is known from: the
    likeliest first. Lines that only look bad are named. '-' reads what is piped in:

        docker logs my-server 2>&1 | dsk explain -

    Ends with 0 whenever the log could be read, whether or not something is found in it.

    \b
    --json prints
      {"causes": [{"rule", "category", "cause", "fix",
                   "evidence": [{"line", "text"}], "source"}],
       "harmless": [{"rule", "why", "evidence": [{"line", "text"}]}]}
    with the causes in order and lines counted from 1.
    """
    from dsk.explain import explain_text, report

    pins = _pins(stack)
    if log == "-":
        found = explain_text(sys.stdin.buffer, stack=stack, pins=pins)
    else:
        with _opened(Path(log)) as stream:
            found = explain_text(stream, stack=stack, pins=pins)
    click.echo(report.as_json(found) if as_json else report.as_text(found))


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        what = f"{path}: cannot be read ({error.strerror})"
        raise InputUnreadable(what, do="name a log file, or - to read standard input") from error


def _pins(stack: str) -> dict[str, str]:
    """The stack's versions by package; nothing if no stack is named."""
    if not stack:
        return {}
    from dsk.matrix import load_matrix

    return dict(load_matrix().stack(stack).pins)

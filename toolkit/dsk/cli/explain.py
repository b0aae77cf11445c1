"""`dsk explain`: find the known failures in a log, and their fixes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import click

from dsk import console
from dsk.errors import InputUnreadable


@click.command()
@click.argument("log", metavar="LOG|-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
@click.option(
    "--stack",
    envvar="DSK_STACK",
    default="",
    metavar="ID",
    help="Name the pins of this stack, which failed, in fixes. [default: $DSK_STACK, else none]",
)
def command(log: str, *, as_json: bool, stack: str) -> None:
    """Explain what went wrong from a LOG of vLLM, pip, docker or the model's own scripts.

    Prints each cause with the lines that prove it, the fix, and the source of both: the likeliest
    first. "Likely" marks a cause whose lines allow for others, too. What a later success overcame
    is no cause. Lines that look like a failure and are none are listed too. '-' reads standard
    input:

        docker logs my-server 2>&1 | dsk explain -

    Exits with 0 whenever the log could be read, even if nothing known is in it.

    \b
    --json prints
      {"causes": [{"rule", "category", "likely", "cause", "fix",
                   "evidence": [{"line", "text"}], "source"}],
       "harmless": [{"rule", "why", "evidence": [{"line", "text"}]}]}
    with the likeliest cause first and lines counted from 1.
    """
    from dsk.explain import explain_text, report

    pins = _pins(stack)
    if log == "-":
        # Bytes, not text: a log may be UTF-16, or contain bytes of no encoding.
        explanation = explain_text(sys.stdin.buffer, stack=stack, pins=pins)
    else:
        with _open(Path(log)) as stream:
            explanation = explain_text(stream, stack=stack, pins=pins)
    if as_json:
        console.echo_json(report.as_json(explanation))
    else:
        console.echo(report.as_text(explanation))


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        what = f"{path}: cannot be read ({error.strerror})"
        raise InputUnreadable(what, do="name a log file, or - to read standard input") from error


def _pins(stack: str) -> dict[str, str]:
    """Return the stack's versions by package; empty if no stack is named."""
    if not stack:
        return {}
    from dsk.matrix import load_matrix

    return dict(load_matrix().stack(stack).pins)

"""The options of commands that read documents, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dsk.ocr.formats import DEFAULT_FORMATS, FORMATS
from dsk.ocr.limits import Limits, described, flag

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_WHAT: Final = (
    click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option(
        "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the outputs."
    ),
    click.option(
        "--pages", default="1-end", show_default=True, help="Pages to read: 1-3,7,10-end."
    ),
    click.option(
        "--password-file",
        type=click.Path(path_type=Path),
        help="File whose first line opens encrypted documents.",
    ),
    click.option(
        "--dpi",
        default=144,
        show_default=True,
        type=click.IntRange(36, 600),
        help="Dots per inch of the rendered pages.",
    ),
)

_READ_BY: Final = (
    click.option(
        "--model",
        show_default="deepseek-ai/DeepSeek-OCR, or the server's",
        help="Model folder, or a hub's name that is in the local cache; or what a server calls it.",
    ),
    click.option(
        "--stack",
        metavar="S",
        envvar="DSK_STACK",
        help="The stack; without it, the image's own, or the one for this machine.",
    ),
    click.option(
        "--server",
        "servers",
        metavar="URL[,URL]",
        default="",
        help="Read through OpenAI-compatible servers, as dsk serve starts them; no engine here.",
    ),
    click.option(
        "--api-key", envvar="DSK_API_KEY", show_envvar=True, help="What the servers want."
    ),
    click.option(
        "--prompt",
        default="markdown",
        show_default=True,
        help="markdown, ocr, free, figure, describe, or a text of your own.",
    ),
    click.option(
        "--runtime",
        envvar="DSK_RUNTIME",
        default="venv",
        show_default=True,
        type=click.Choice(["venv", "container", "in-place"]),
        help="Where the engine runs: the stack's environment, its image, or this interpreter.",
    ),
    click.option(
        "--image",
        metavar="REF",
        help="A container's image, by name or digest; without it the newest of dsk build.",
    ),
    click.option("--shm-size", metavar="SIZE", help="A container's shared memory; else 8g."),
    click.option(
        "--no-patch",
        "patch",
        flag_value=False,
        default=True,
        help="Load a checkpoint's own code as it is, unpatched.",
    ),
)

_LIMITS: Final = (
    click.option(
        "--max-tokens",
        default=None,
        type=click.IntRange(1),
        help="Most tokens a page's answer may have; without it, what the context holds.",
    ),
    *(
        click.option(
            flag(name), name, default=default, show_default=True, type=click.IntRange(1), help=said
        )
        for name, default, said in described()
    ),
)

_LEFT: Final = (
    click.option(
        "--to",
        "formats",
        metavar="FORMAT[,FORMAT]",
        default=",".join(name for name in FORMATS if name in DEFAULT_FORMATS),
        show_default=True,
        help=f"What to write: of {','.join(FORMATS)}; the texts, md, in any case.",
    ),
    click.option(
        "--compat",
        type=click.Choice(["official"]),
        help="Write what the model's own scripts write, in place of all that.",
    ),
)

_HOW: Final = (
    click.option(
        "--overwrite",
        is_flag=True,
        help="Read everything anew; without it, a run goes on where an earlier one ended.",
    ),
    click.option(
        "--retry-failed", is_flag=True, help="Read pages again that did not come out whole."
    ),
    click.option(
        "--attempts",
        default=3,
        show_default=True,
        type=click.IntRange(1, 5),
        help="Most readings of a page that loops or is cut off, each asked for in another way.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Processes that render pages; without it, as many as fit the machine.",
    ),
    click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, stop."),
)


def all_of_them(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command every option; their values come by name."""
    for option in reversed((*_WHAT, *_READ_BY, *_LIMITS, *_LEFT, *_HOW)):
        function = option(function)
    return function


def limits(wishes: dict[str, Any]) -> Limits:
    """The limits among a command's options, which are taken out."""
    return Limits(**{name: wishes.pop(name) for name, _, _ in described()})

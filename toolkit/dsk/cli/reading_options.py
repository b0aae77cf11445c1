"""The options of commands that read documents, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dsk.ocr import executors
from dsk.ocr.outputs import registry
from dsk.ocr.schema.limits import Limits, described, flag

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]
    Decorator = Callable[[Command], Command]

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


def _model(default: str, said: str) -> Decorator:
    return click.option("--model", show_default=default, help=said)


_MODEL_HERE: Final = "Model folder, or a hub's name that is in the local cache"

_STACK: Final = click.option(
    "--stack",
    metavar="S",
    envvar="DSK_STACK",
    help="The stack; without it, the image's own, or the one for this machine.",
)

_SERVERS: Final = (
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
)

_PROMPT: Final = click.option(
    "--prompt",
    default="markdown",
    show_default=True,
    help="markdown, ocr, free, figure, describe, or a text of your own.",
)


def _runtime(*names: str) -> Decorator:
    known = executors.runtimes()
    said = ", or ".join([", ".join(known[name] for name in names[:-1]), known[names[-1]]])
    return click.option(
        "--runtime",
        envvar="DSK_RUNTIME",
        default="venv",
        show_default=True,
        type=click.Choice(names),
        help=f"Where the engine runs: {said}.",
    )


_CONTAINER: Final = (
    click.option(
        "--image",
        metavar="REF",
        help="A container's image, by name or digest; without it the newest of dsk build.",
    ),
    click.option("--shm-size", metavar="SIZE", help="A container's shared memory; else 8g."),
)

_PATCH: Final = click.option(
    "--no-patch",
    "patch",
    flag_value=False,
    default=True,
    help="Load a checkpoint's own code as it is, unpatched.",
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

_FORMATS: Final = click.option(
    "--to",
    "formats",
    metavar="FORMAT[,FORMAT]",
    default=",".join(registry.default_names()),
    show_default=True,
    help=f"Formats to write, of {', '.join(registry.names())}. "
    f"Always written: {', '.join(registry.required_names())}.",
)

_COMPAT: Final = click.option(
    "--compat",
    type=click.Choice(["official"]),
    help="Write what the model's own scripts write, in place of all that.",
)

_AGAIN: Final = (
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
)

_HOW: Final = (
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Processes that render pages; without it, as many as fit the machine.",
    ),
    click.option(
        "--engines",
        type=click.IntRange(1),
        help="Engines on the card; without it, two on a large one (V1).",
    ),
    click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, stop."),
)

_OF_A_RUN: Final[tuple[Decorator, ...]] = (
    *_WHAT,
    _model(
        "deepseek-ai/DeepSeek-OCR, or the server's", f"{_MODEL_HERE}; or what a server calls it."
    ),
    *(_STACK, *_SERVERS, _PROMPT),
    _runtime(*executors.runtimes()),
    *(*_CONTAINER, _PATCH, *_LIMITS, _FORMATS, _COMPAT, *_AGAIN, *_HOW),
)

_OF_A_BENCH: Final[tuple[Decorator, ...]] = (
    *_WHAT,
    _model("deepseek-ai/DeepSeek-OCR", f"{_MODEL_HERE}."),
    *(_STACK, _PROMPT),
    _runtime("venv", "in-place"),
    *(_PATCH, *_LIMITS, _FORMATS, *_HOW),
)


def of_a_run(function: Command) -> Command:
    """Give a command every option; their values come by name."""
    return _given(function, _OF_A_RUN)


def of_a_bench(function: Command) -> Command:
    """Give a command those that act on a measurement, too."""
    return _given(function, _OF_A_BENCH)


def _given(function: Command, options: tuple[Decorator, ...]) -> Command:
    for option in reversed(options):
        function = option(function)
    return function


def limits(wishes: dict[str, Any]) -> Limits:
    """Take the limits out of a command's options."""
    return Limits(**{name: wishes.pop(name) for name, _, _ in described()})

"""The options of commands that read documents, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dsk.cli.common import api_key
from dsk.cli.common.model_option import NAMES, max_attempts, model_facts, model_option
from dsk.cli.common.sections import option
from dsk.errors import UsageProblem
from dsk.ocr import executors
from dsk.ocr.outputs import registry
from dsk.ocr.schema.limits import Limits, described, flag
from dsk.ocr.schema.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.ocr.run.progress import Detail

    Command = Callable[..., Any]
    Decorator = Callable[[Command], Command]

INPUT: Final = "Input"
MODEL_AND_ENGINE: Final = "Model and engine"
READING: Final = "Reading"
OUTPUT: Final = "Output"
RESUMING: Final = "Resuming"
LIMITS: Final = "Limits"
# Sections of the help, in its order.
SERVER: Final = "Server"


def _check_attempts(context: click.Context, parameter: click.Parameter, value: int) -> int:
    """Refuse more attempts than the models have retry steps."""
    return click.IntRange(1, max_attempts()).convert(value, parameter, context)


def _parse_shard(context: click.Context, parameter: click.Parameter, value: str) -> Shard | None:  # noqa: ARG001
    return Shard.parse(value) if value else None


def _refuse_stdout(context: click.Context, parameter: click.Parameter, value: Path) -> Path:  # noqa: ARG001
    """Refuse ``-``, which elsewhere is standard output."""
    if str(value) == "-":
        message = "a run writes a folder, not standard output; ./- is a folder of that name"
        raise click.BadParameter(message)
    return value


_INPUTS: Final = click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))

_PAGES: Final = option(
    INPUT,
    "--pages",
    metavar="RANGES",
    default="1-end",
    show_default=True,
    help="Pages to read, such as 1-3,7,10-end.",
)

_PASSWORD_FILE: Final = option(
    INPUT,
    "--password-file",
    type=click.Path(path_type=Path),
    help="File whose first line is the password of encrypted documents.",
)

_SHARD: Final = option(
    INPUT,
    "--shard",
    metavar="I/N",
    callback=_parse_shard,
    help="Read the I-th of N equal parts of the pages, into a folder of its own in OUT; "
    "dsk merge joins them.",
)

_STACK: Final = option(
    MODEL_AND_ENGINE,
    "--stack",
    metavar="S",
    envvar="DSK_STACK",
    help="Stack whose engine reads; by default the image's own, or the one for this machine.",
)

_CONTAINER: Final = (
    option(
        MODEL_AND_ENGINE,
        "--image",
        metavar="REF",
        help="Image of the container, by name or digest; by default the newest of dsk build.",
    ),
    option(
        MODEL_AND_ENGINE,
        "--shm-size",
        metavar="SIZE",
        help="Shared memory of the container; by default 8g.",
    ),
)

_ENGINES: Final = option(
    MODEL_AND_ENGINE,
    "--engines",
    metavar="N",
    type=click.IntRange(1),
    help="Engines on each GPU; by default two on a large one, if the stack's engine is V1.",
)

_GPUS: Final = option(
    MODEL_AND_ENGINE,
    "--gpus",
    metavar="GPU[,GPU]",
    help="GPUs that read: all, or some of them by number or UUID as nvidia-smi -L lists them, MIG "
    "instances as GPU:INSTANCE or by UUID; by default all that the stack runs on.",
)

_PATCH: Final = option(
    MODEL_AND_ENGINE,
    "--no-patch",
    "patch",
    flag_value=False,
    default=True,
    help="Do not patch the checkpoint's own code.",
)

_READING: Final = (
    option(
        READING,
        "--prompt",
        default="markdown",
        show_default=True,
        facts=model_facts,
        help="Prompt: a name that the model has, of {prompts}, or a text of your own.",
    ),
    option(
        READING,
        "--dpi",
        metavar="N",
        default=144,
        show_default=True,
        type=click.IntRange(36, 600),
        help="Dots per inch at which pages are rendered.",
    ),
    option(
        READING,
        "--max-tokens",
        metavar="N",
        default=None,
        type=click.IntRange(1),
        help="Maximum tokens of a page's answer; by default as many as the context holds.",
    ),
)

_ATTEMPTS: Final = option(
    READING,
    "--attempts",
    metavar="N",
    default=3,
    show_default=True,
    type=int,
    # A range would load the matrix before --help is asked for.
    callback=_check_attempts,
    facts=model_facts,
    help="Maximum attempts at a page that loops, is cut off or is empty, each with other settings: "
    "1 to {attempts}.",
)

_TEXT_LAYER: Final = option(
    READING,
    "--text-layer",
    type=click.Choice(["auto", "only", "never"]),
    default="auto",
    show_default=True,
    help="Text that a PDF carries itself: auto takes it where the model does not read a page "
    "whole, only takes it in place of the model, never leaves it alone.",
)

_WORKERS: Final = option(
    READING,
    "--workers",
    metavar="N",
    type=click.IntRange(1),
    help="Processes that render pages; by default as many as fit the machine.",
)

_DRY_RUN: Final = option(
    READING, "--dry-run", is_flag=True, help="Check everything, print the plan, and stop."
)

_OUT: Final = option(
    OUTPUT,
    "-o",
    "--out",
    required=True,
    callback=_refuse_stdout,
    type=click.Path(path_type=Path),
    help="Folder to write to; each document gets a folder of its own in it.",
)

_FORMATS: Final = option(
    OUTPUT,
    "--to",
    "formats",
    metavar="FORMAT[,FORMAT]",
    default=",".join(registry.default_names()),
    show_default=True,
    help=f"Formats to write, of {', '.join(registry.names())}. "
    f"Always written: {', '.join(registry.required_names())}.",
)

_COMPAT: Final = option(
    OUTPUT,
    "--compat",
    type=click.Choice(["official"]),
    help="Write the files of the model's own scripts instead of those formats.",
)

_MESSAGES: Final = (
    option(OUTPUT, "-q", "--quiet", is_flag=True, help="Show warnings and errors alone."),
    option(
        OUTPUT,
        "-v",
        "--verbose",
        is_flag=True,
        help="Show each page as it ends, the pages in each stage, and what the run waited for.",
    ),
    option(
        OUTPUT,
        "--json",
        "as_json",
        is_flag=True,
        help="Print each event of the run as a line of JSON, and a summary as the last one.",
    ),
)

_RESUMING: Final = (
    option(
        RESUMING,
        "--overwrite",
        is_flag=True,
        help="Read everything again; by default a run resumes where an earlier one ended.",
    ),
    option(
        RESUMING,
        "--retry-failed",
        is_flag=True,
        help="Read the pages again that did not come out whole.",
    ),
)

_LIMITS: Final = tuple(
    option(
        LIMITS,
        flag(name),
        name,
        metavar="N",
        default=default,
        show_default=True,
        type=click.IntRange(1),
        help=meaning,
    )
    for name, default, meaning in described()
)

_SERVERS: Final = (
    option(
        SERVER,
        "--server",
        "servers",
        metavar="URL[,URL]",
        default="",
        help="Read through these OpenAI-compatible servers, such as dsk serve starts, "
        "instead of an engine here.",
    ),
    *api_key.options("API key of the servers", section=SERVER),
    option(
        SERVER,
        "--wait-seconds",
        metavar="N",
        default=300,
        show_default=True,
        type=click.IntRange(1),
        help="Maximum time to wait for a server that is away or busy.",
    ),
)


def _runtime(*names: str) -> Decorator:
    known = executors.runtimes()
    meanings = ", or ".join([", ".join(known[name] for name in names[:-1]), known[names[-1]]])
    return option(
        MODEL_AND_ENGINE,
        "--runtime",
        envvar="DSK_RUNTIME",
        default="venv",
        show_default=True,
        type=click.Choice(names),
        help=f"Where the engine runs: {meanings}.",
    )


# Each in the order of the help.
_RUN_OPTIONS: Final[tuple[Decorator, ...]] = (
    *(_INPUTS, _PAGES, _SHARD, _PASSWORD_FILE),
    model_option(
        f"Model: {NAMES}, where @REVISION may follow, or a folder; with --server also the name "
        "that the server gives it.",
        section=MODEL_AND_ENGINE,
        default="{id}, or the server's",
    ),
    *(_STACK, _runtime(*executors.runtimes()), *_CONTAINER, _GPUS, _ENGINES, _PATCH),
    *(*_READING, _ATTEMPTS, _TEXT_LAYER, _WORKERS, _DRY_RUN),
    *(_OUT, _FORMATS, _COMPAT, *_MESSAGES, *_RESUMING, *_LIMITS, *_SERVERS),
)

_BENCH_OPTIONS: Final[tuple[Decorator, ...]] = (
    *(_INPUTS, _PAGES, _PASSWORD_FILE),
    model_option(
        f"Model: {NAMES}, where @REVISION may follow, or a folder.", section=MODEL_AND_ENGINE
    ),
    *(_STACK, _runtime("venv", "in-place"), _GPUS, _ENGINES, _PATCH),
    *(*_READING, _WORKERS, _DRY_RUN, _OUT, _FORMATS, *_LIMITS),
)


def run_options(function: Command) -> Command:
    """Give a command all options of `dsk run`, whose values it gets by name."""
    return _decorate(function, _RUN_OPTIONS)


def bench_options(function: Command) -> Command:
    """Give a command the options of `dsk run` that matter to a measurement."""
    return _decorate(function, _BENCH_OPTIONS)


def _decorate(function: Command, options: tuple[Decorator, ...]) -> Command:
    for decorate in reversed(options):
        function = decorate(function)
    return function


def take_limits(values: dict[str, Any]) -> Limits:
    """Remove the limits from a command's values, and return them."""
    return Limits(**{name: values.pop(name) for name, _, _ in described()})


def take_detail(values: dict[str, Any]) -> Detail:
    """Remove the options of messages from a command's values; return how much is to be shown.

    Raises:
        UsageProblem: two of them are given.
    """
    from dsk.ocr.run.progress import Detail

    named = {
        "--quiet": (values.pop("quiet"), Detail.QUIET),
        "--verbose": (values.pop("verbose"), Detail.VERBOSE),
        "--json": (values.pop("as_json"), Detail.EVENTS),
    }
    given = {name: detail for name, (is_given, detail) in named.items() if is_given}
    if len(given) > 1:
        what = f"{' and '.join(given)} exclude each other"
        raise UsageProblem(what, do="give one of them")
    return next(iter(given.values()), Detail.NORMAL)

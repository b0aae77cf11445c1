"""`dsk doctor`: check this machine against a stack, and print what fixes it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from dsk import __version__, console
from dsk.cli.common import gpu_options
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import DoctorFoundErrors, InputUnreadable, MatrixInvalid

if TYPE_CHECKING:
    from dsk.doctor.report import Report
    from dsk.host.facts import Facts
    from dsk.matrix import Gpu, Matrix, Model, Stack


# Bytes; facts of a host have some 20 kB.
_MAX_FACTS: Final = 16 << 20


@click.command()
@click.option(
    "--stack",
    "stack_id",
    metavar="S",
    envvar="DSK_STACK",
    help="Check for this stack. [default: $DSK_STACK, else the one for this machine]",
)
@model_option(f"Check for this model: {NAMES}.")
@click.option(
    "--gpu", "gpu_name", metavar="ID", help="Check for this GPU instead of those of this machine."
)
@gpu_options.describing
@click.option(
    "--host-facts",
    "recorded",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Check facts written by --save-facts, here or on another machine.",
)
@click.option(
    "--save-facts",
    "save_to",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the facts, without names, addresses, keys and serial numbers.",
)
@click.option("--strict", is_flag=True, help="Exit with code 6 for warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print findings and facts as JSON.")
@click.pass_context
def command(
    context: click.Context,
    stack_id: str | None,
    model: str | None,
    gpu_name: str | None,
    capability: tuple[int, int] | None,
    vram: float | None,
    recorded: Path | None,
    save_to: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Find what is wrong with this machine, and print the commands that fix it.

    Without --stack it checks for the stack of this machine's GPUs; without a GPU, for the CPU's.
    The checks go from the operating system to the pages that fit into memory at once: [ok] is
    good, [!] may matter, [x] must be fixed, [-] was not checked or is not needed.

    Nothing is changed. Where Docker runs and has an image, a container is started and ends at
    once. Exits with code 6 if something must be fixed; schemas/doctor.json describes --json.
    """
    from dsk.matrix import load_matrix
    from dsk.models.reference import resolve

    facts = _read(recorded) if recorded else None
    from_environment = context.get_parameter_source("stack_id") is ParameterSource.ENVIRONMENT
    matrix = load_matrix()
    gpu = gpu_options.requested(matrix, gpu_name, capability, vram)
    if from_environment and (gpu or recorded):
        stack_id = None  # the variable is about this machine
    # JSON is what users attach to a question, as they do the facts.
    record = resolve(model).profile.record
    report = _examine(matrix, record, stack_id, gpu, facts, anonymous=as_json)
    if save_to:
        _save(report.facts, save_to)
    if as_json:
        console.echo_json(report.model_dump_json(indent=2))
    else:
        _print(report)
    if report.has_errors or (strict and report.has_warnings):
        context.exit(DoctorFoundErrors.exit_code)


def _examine(
    matrix: Matrix,
    model: Model,
    stack_id: str | None,
    gpu: Gpu | None,
    facts: Facts | None,
    *,
    anonymous: bool,
) -> Report:
    """Check this machine, or the one with the given facts.

    Args:
        matrix: the loaded matrix.
        model: the model that is to run.
        stack_id: the stack to check for; by default the one for the machine.
        gpu: a card to check for in place of the machine's.
        facts: facts of a machine; by default they are gathered here.
        anonymous: whether names and the like in them are replaced first.
    """
    from dsk.host.probes import FOR_STACK_CHOICE, SLOW, gather, remaining, start

    # Docker takes longest: it is queried while the rest is imported.
    slow = None if facts else start(SLOW)
    from dsk.advisories.targets import report_on
    from dsk.doctor import report
    from dsk.doctor.chain import chain
    from dsk.doctor.check import CheckContext, run_checks
    from dsk.host.anonymous import cleaned
    from dsk.host.gpu_selection import VARIABLE
    from dsk.host.stack_choice import alternatives, by_card, choose
    from dsk.host.this_machine import shown
    from dsk.models.reference import option_of

    # First what the choice of a stack needs; the rest depends on the stack that is chosen.
    requested = matrix.stack(stack_id) if stack_id else None
    whole = facts or gather(FOR_STACK_CHOICE)
    first = facts or shown(whole)
    stack, why = choose(matrix, first, gpu, model, requested)
    if first is not whole:
        why += f"; {VARIABLE}={os.environ[VARIABLE]} hides other GPUs"
    lock = _lock_sha256(stack)
    if slow:
        facts = first.merged_with(gather(remaining(lock))).merged_with(slow())
    facts = facts or first
    if anonymous:
        facts = cleaned(facts)
    context = CheckContext(
        facts=facts,
        stack=stack,
        lock_sha256=lock,
        model=model,
        gpu=gpu,
        audit=report_on(stack),
        alternatives=alternatives(matrix, first, gpu, stack, model),
        by_card={} if gpu else by_card(matrix, first, stack, model),
    )
    findings, named = run_checks(context, chain()), option_of(model.id)
    return report.make(__version__, stack.id, why, findings, context.facts, model=named)


def _lock_sha256(stack: Stack) -> str:
    try:
        return stack.lock_sha256()
    except MatrixInvalid:
        return ""


def _read(file: Path) -> Facts:
    from pydantic import ValidationError
    from pydantic_core import from_json

    from dsk.host.facts import Facts

    do = "name a file that dsk doctor --save-facts wrote"
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_FACTS)
        facts = Facts.model_validate_json(content)
        _require_usual_numbers(from_json(content))
        return facts
    except OSError as error:
        what = f"{file}: cannot be read ({error.strerror})"
        raise InputUnreadable(what, do=do) from error
    except OverflowError as error:
        what = f"{file} does not hold the facts of a host: {error}"
        raise InputUnreadable(what, do=do) from error
    except ValidationError as error:
        fault = error.errors()[0]  # the first one; a file of another kind has hundreds
        key = ".".join(map(str, fault["loc"])) or "the whole file"
        what = f"{file} does not hold the facts of a host: {key}: {fault['msg']}"
        raise InputUnreadable(what, do=do) from error


def _require_usual_numbers(value: Any) -> None:
    """Raise an OverflowError for a number that no machine has, and that no division takes."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _require_usual_numbers(item)
    elif isinstance(value, (int, float)) and not -(2**63) <= value < 2**63:
        what = "a number in it is out of range"
        raise OverflowError(what)


def _save(facts: Facts, file: Path) -> None:
    from dsk.files import write_atomically
    from dsk.host.anonymous import cleaned

    write_atomically(file, cleaned(facts).model_dump_json(indent=2) + "\n")


def _print(report: Report) -> None:
    """Print the report, on a terminal with its marks in colour."""
    from dsk.doctor.report import text

    plain = text(report)
    if not sys.stdout.isatty():  # rich takes 0.1 s to import
        console.echo(plain, nl=False)
        return
    from rich.text import Text

    coloured = Text(plain.rstrip("\n"))
    coloured.highlight_regex(r"(?m)^\[ok\]", "green")
    coloured.highlight_regex(r"(?m)^\[!\]", "yellow")
    coloured.highlight_regex(r"(?m)^\[x\]", "bold red")
    coloured.highlight_regex(r"(?m)^ {5}\$ .*$", "cyan")
    console.out().print(coloured)

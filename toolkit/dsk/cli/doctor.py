"""`dsk doctor`: look at this machine, judge it against a stack, say what mends it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsk import __version__, console
from dsk.errors import DoctorFoundErrors, InputUnreadable, MatrixInvalid

if TYPE_CHECKING:
    from dsk.doctor.report import Report
    from dsk.host.facts import Facts
    from dsk.matrix import Stack


@click.command()
@click.option("--stack", "stack_id", metavar="S", help="Judge against this stack.")
@click.option("--gpu", "gpu_name", metavar="ID", help="Ask about this card, not those here.")
@click.option(
    "--host-facts",
    "recorded",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Judge facts that --save-facts wrote, on this machine or another.",
)
@click.option(
    "--save-facts",
    "save_to",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write what was found, without names, addresses, keys and serial numbers.",
)
@click.option("--strict", is_flag=True, help="Warnings end with exit code 6 too.")
@click.option("--json", "as_json", is_flag=True, help="Print findings and facts as JSON.")
@click.pass_context
def command(
    context: click.Context,
    stack_id: str | None,
    gpu_name: str | None,
    recorded: Path | None,
    save_to: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Say what is wrong with this machine, and the command that mends it.

    Without --stack the stack for the card here is judged; without a card, the one for the CPU.
    Each line is a link of one chain, from the system to the pages that fit at once: [ok] is well,
    [!] may matter, [x] must be mended, [-] was not reached or is not needed.

    Nothing is changed. Where Docker runs and has an image, a container is started and ended at
    once. Exit code 6 when something must be mended; schemas/doctor.json describes --json.
    """
    facts = _read(recorded) if recorded else None
    report = _examined(stack_id, gpu_name, facts)
    if save_to:
        _save(report.facts, save_to)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    if report.has_errors or (strict and report.has_warnings):
        context.exit(DoctorFoundErrors.exit_code)


def _examined(stack_id: str | None, gpu_name: str | None, facts: Facts | None) -> Report:
    from dsk.host.probes import FOR_A_CHOICE, FROM_THE_START, begin, gather, others

    slow = None if facts else begin(FROM_THE_START)
    from dsk.doctor import report
    from dsk.doctor.chain import chain
    from dsk.doctor.check import CheckContext, run_checks
    from dsk.host.anonymous import cleaned
    from dsk.host.stack_choice import choose
    from dsk.matrix import load_matrix

    matrix = load_matrix()
    gpu = matrix.gpu(gpu_name) if gpu_name else None
    named = matrix.stack(stack_id) if stack_id else None
    seen = facts or gather(FOR_A_CHOICE)
    stack, why = (named, "as asked") if named else choose(matrix, seen, gpu)
    lock = _lock(stack)
    if slow:
        facts = cleaned(seen.with_more(gather(others(lock))).with_more(slow()))
    context = CheckContext(
        facts=facts or seen,
        stack=stack,
        lock_sha256=lock,
        model=matrix.model("deepseek-ocr"),
        gpu=gpu,
    )
    return report.make(__version__, stack.id, why, run_checks(context, chain()), context.facts)


def _lock(stack: Stack) -> str:
    try:
        return stack.lock_sha256()
    except MatrixInvalid:
        return ""


def _read(file: Path) -> Facts:
    from pydantic import ValidationError

    from dsk.host.facts import Facts

    do = "name a file that dsk doctor --save-facts wrote"
    try:
        return Facts.model_validate_json(file.read_bytes())
    except OSError as error:
        what = f"{file}: cannot be read ({error.strerror})"
        raise InputUnreadable(what, do=do) from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "the whole file"
        what = f"{file} holds no facts of a host: {key}: {fault['msg']}"
        raise InputUnreadable(what, do=do) from error


def _save(facts: Facts, file: Path) -> None:
    from dsk.files import write_atomically

    write_atomically(file, facts.model_dump_json(indent=2) + "\n")


def _print(report: Report) -> None:
    """The marks in colour, where there are colours."""
    from dsk.doctor.report import text

    told = text(report)
    if not sys.stdout.isatty():  # rich takes 0.1 s to import
        click.echo(told, nl=False)
        return
    from rich.text import Text

    coloured = Text(told.rstrip("\n"))
    coloured.highlight_regex(r"(?m)^\[ok\]", "green")
    coloured.highlight_regex(r"(?m)^\[!\]", "yellow")
    coloured.highlight_regex(r"(?m)^\[x\]", "bold red")
    coloured.highlight_regex(r"(?m)^ {5}\$ .*$", "cyan")
    console.out().print(coloured)

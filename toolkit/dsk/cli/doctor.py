"""`dsk doctor`: look at this machine, judge it against a stack, say what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk import __version__, console
from dsk.errors import DoctorFoundErrors, MatrixInvalid

if TYPE_CHECKING:
    from dsk.compat import Stack
    from dsk.doctor.report import Report


@click.command()
@click.option("--stack", "stack_id", metavar="S", help="Judge against this stack.")
@click.option("--gpu", "gpu_name", metavar="ID", help="Ask about this card, not those here.")
@click.option("--json", "as_json", is_flag=True, help="Print findings and facts as JSON.")
@click.pass_context
def command(
    context: click.Context, stack_id: str | None, gpu_name: str | None, as_json: bool
) -> None:
    """Say what is wrong with this machine, and the command that mends it.

    Without --stack the stack for the card here is judged; without a card, the one for the CPU.
    Exit code 6 when something must be mended.
    """
    report = _examined(stack_id, gpu_name)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    if report.has_errors:
        context.exit(DoctorFoundErrors.exit_code)


def _examined(stack_id: str | None, gpu_name: str | None) -> Report:
    from dsk.compat import load_matrix
    from dsk.doctor import report
    from dsk.doctor.checks import CHECKS
    from dsk.doctor.choice import choose
    from dsk.doctor.judging import Question, judge
    from dsk.doctor.probes import gather

    matrix = load_matrix()
    gpu = matrix.gpu(gpu_name) if gpu_name else None
    named = matrix.stack(stack_id) if stack_id else None
    facts = gather()
    stack, why = (named, "as asked") if named else choose(matrix, facts, gpu)
    question = Question(facts=facts, stack=stack, lock_sha256=_lock(stack), gpu=gpu)
    return report.make(__version__, stack.id, why, judge(question, CHECKS), facts)


def _lock(stack: Stack) -> str:
    try:
        return stack.lock_sha256()
    except MatrixInvalid:
        return ""


def _print(report: Report) -> None:
    """The marks in colour, where there are colours."""
    from rich.text import Text

    from dsk.doctor.report import text

    told = Text(text(report).rstrip("\n"))
    told.highlight_regex(r"(?m)^\[ok\]", "green")
    told.highlight_regex(r"(?m)^\[!\]", "yellow")
    told.highlight_regex(r"(?m)^\[x\]", "bold red")
    told.highlight_regex(r"(?m)^ {5}\$ .*$", "cyan")
    console.out().print(told)

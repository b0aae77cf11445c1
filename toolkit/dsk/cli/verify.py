"""`dsk verify`: an eye chart read by the engine as it stands here, in an image or outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk.errors import VerificationFailed

if TYPE_CHECKING:
    from dsk.selftest.probe import Where


@click.command("verify")
@click.option(
    "--stack",
    "name",
    metavar="S",
    envvar="DSK_STACK",
    help="The stack; without it, the image's own, or the one for this machine.",
)
@click.option(
    "--runtime",
    envvar="DSK_RUNTIME",
    default="venv",
    show_default=True,
    type=click.Choice(["venv", "in-place"]),
    help="Where the engine is: the stack's environment, or this interpreter's, as in an image.",
)
def command(name: str | None, runtime: str) -> None:
    """Read an eye chart with the real engine and compare: exit code 10 if anything differs.

    \b
    In an image on a GPU:
      docker run --rm --gpus all dsk:rtx4090-v0 verify
    """
    from dsk import console
    from dsk.cli.progress import progress
    from dsk.host.probes import stack_facts
    from dsk.host.stack_choice import choose_strictly
    from dsk.matrix import evidence, load_matrix
    from dsk.selftest.probe import probe

    matrix, facts = load_matrix(), stack_facts()
    stack = matrix.stack(name) if name else choose_strictly(matrix, facts).stack

    def report(line: str) -> None:
        console.err().print(line, markup=False)

    where: Where = "in-place" if runtime == "in-place" else "venv"
    with progress() as installing:
        found = probe(stack, where, facts, installing=installing, report=report)
    if found.result != evidence.EXACT:
        what = f"stack '{stack.id}' does not read right on {found.machine.device}: {found.reason}"
        raise VerificationFailed(what, do="dsk doctor says what is wrong here")
    seconds = found.seconds["reading"]
    click.echo(f"{stack.id}: exact on {found.machine.device}, in {seconds:.0f} s with its start")

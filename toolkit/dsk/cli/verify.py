"""`dsk verify`: read an eye chart with the real engine, in an image or outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import VerificationFailed

if TYPE_CHECKING:
    from dsk.selftest.probe import Where


@click.command("verify")
@click.option(
    "--stack",
    "name",
    metavar="S",
    envvar="DSK_STACK",
    help="Verify this stack. [default: the image's, else the one for this machine]",
)
@model_option(f"Model whose test model reads: {NAMES}; of a folder, that of its architecture.")
@click.option(
    "--runtime",
    envvar="DSK_RUNTIME",
    default="venv",
    show_default=True,
    type=click.Choice(["venv", "in-place"]),
    help="Use the engine of the stack's environment, or of this interpreter, as in an image.",
)
def command(name: str | None, model: str | None, runtime: str) -> None:
    """Read an eye chart with the real engine; exit with code 10 if any character differs.

    \b
    In an image on a GPU:
      docker run --rm --gpus all dsk:v0 verify
    """
    from dsk.cli.common.progress import progress
    from dsk.host import container_start, this_machine
    from dsk.matrix import evidence, load_matrix
    from dsk.models.reference import resolve
    from dsk.selftest.probe import probe
    from dsk.vllm_plugin import registration, stack_support

    matrix, facts, profile = load_matrix(), this_machine.probe()[0], resolve(model).profile
    version = registration.version_in(runtime)
    stack = (
        matrix.stack(name)
        if name
        else this_machine.stack_for_this_machine(
            matrix, profile.record, version=version, facts=facts
        )
    )
    container_start.require(stack, facts)
    stack_support.require(stack, profile.record, matrix, version=version)

    def report(line: str) -> None:
        console.err().print(line, markup=False)

    where: Where = "in-place" if runtime == "in-place" else "venv"
    with progress() as installing:
        result = probe(stack, where, facts, profile=profile, installing=installing, report=report)
    if result.result != evidence.EXACT:
        what = (
            f"stack '{stack.id}' misreads the eye chart of {profile.name} on "
            f"{result.machine.device}: {result.reason}"
        )
        raise VerificationFailed(what, do="dsk doctor says what is wrong here")
    # The engine's start is most of it, and what a user waits for.
    seconds = result.seconds["reading"]
    console.echo(
        f"{stack.id}: exact on {result.machine.device} with {profile.name}, "
        f"in {seconds:.0f} s with the engine's start"
    )

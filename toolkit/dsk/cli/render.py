"""`dsk render`: write the generated files, or check that they are up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.errors import DriftFound, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@click.command("render")
@click.option("--stack", metavar="ID", help="Render one stack's Dockerfile alone.")
@click.option("--gpu", metavar="ID", help="Render that of the stack for this GPU.")
@click.option(
    "--all", "all_", is_flag=True, help="Every stack and the documentation, as without options."
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 9 if a file is out of date.")
def command(gpu: str | None, all_: bool, stack: str | None, check: bool) -> None:
    """Write the generated files: Dockerfiles, tables and references in the documentation."""
    from dsk.cli import cli
    from dsk.generated import tree
    from dsk.matrix import load_matrix
    from dsk.matrix.select import stack_for

    if all_ and (gpu or stack):
        what = f"{'--gpu' if gpu else '--stack'} and --all exclude each other"
        raise UsageProblem(what, do="give one of them")
    matrix = load_matrix()
    if gpu or stack:
        files = dict([tree.of(matrix, stack_for(matrix, matrix.gpu(gpu) if gpu else None, stack))])
        stray = []
    else:
        files = tree.everything(matrix, cli)
        stray = tree.strays(files)
    if check:
        _check([*tree.drifted(files), *stray], tree.repository())
        console.echo(f"{len(files)} generated files are up to date")
        return
    for file in tree.write(files):
        console.echo(f"wrote {file.relative_to(tree.repository())}")
    for file in stray:
        file.unlink()
        console.echo(f"removed {file.relative_to(tree.repository())}, which is no longer rendered")


def _check(differing: Iterable[Path], root: Path) -> None:
    names = ", ".join(str(file.relative_to(root)) for file in differing)
    if names:
        what = f"out of date: {names}"
        raise DriftFound(what, do="dsk render --all")

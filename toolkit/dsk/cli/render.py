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
@click.option("--gpu", metavar="ID", help="Render for one GPU; --all is the default.")
@click.option(
    "--all", "all_", is_flag=True, help="Every GPU on every stack, and the documentation's tables."
)
@click.option("--stack", metavar="ID", help="Another stack than the GPU's default, or a CPU stack.")
@click.option("--check", is_flag=True, help="Write nothing; exit code 9 if a file is out of date.")
def command(gpu: str | None, all_: bool, stack: str | None, check: bool) -> None:
    """Write the generated files: Dockerfiles, tables and references in the documentation."""
    from dsk.cli import cli
    from dsk.generated import tree
    from dsk.matrix import load_matrix

    if all_ and (gpu or stack):
        what = f"{'--gpu' if gpu else '--stack'} and --all exclude each other"
        raise UsageProblem(what, do="give one of them")
    matrix = load_matrix()
    if gpu or stack:
        card = matrix.gpu(gpu) if gpu else None
        files = dict([tree.of(matrix, card, matrix.stack(stack) if stack else None)])
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

"""`dsk build`: build the image of a GPU from its committed Dockerfile."""

from __future__ import annotations

import shlex

import click

from dsk.errors import DriftFound


@click.command("build")
@click.option("--gpu", metavar="ID", required=True, help="The GPU to build for, such as rtx4090.")
@click.option("--stack", metavar="ID", help="Another stack than the one the GPU gets by itself.")
@click.option("--tag", metavar="NAME", help="The image's name; dsk:GPU-STACK if not given.")
@click.option("--dry-run", is_flag=True, help="Print the command and build nothing.")
def command(gpu: str, stack: str | None, tag: str | None, dry_run: bool) -> None:
    """Build an image with docker buildx and load it into the local Docker engine."""
    from dsk import paths
    from dsk.compat import load_matrix
    from dsk.compat.select import select
    from dsk.images import build, context, tree

    matrix = load_matrix()
    card = matrix.gpu(gpu)
    chosen = matrix.stack(stack) if stack else select(matrix, card)
    root = context.folder()
    file, text = tree.of_gpu(matrix, card, chosen, root=root)
    if not paths.in_checkout():
        tree.write({file: text})
    elif tree.drifted({file: text}):
        again = f"dsk render --gpu {card.id}" + (f" --stack {stack}" if stack else "")
        what = f"{file.relative_to(root)} is not as rendered"
        raise DriftFound(what, do=again)
    arguments = build.command(file, root, tag or f"dsk:{card.id}-{chosen.id}")
    if dry_run:
        click.echo(f"Dockerfile: {file}")
        click.echo(shlex.join(arguments))
        return
    build.build(arguments, chosen)

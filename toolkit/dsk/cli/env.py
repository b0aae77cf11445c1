"""`dsk env`: create, list, find and remove the environments of stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.cli.common.model_option import NAMES, model_option
from dsk.cli.common.progress import create_environment
from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from dsk.matrix import Stack

_stack = click.option("--stack", "stack_id", metavar="S", help="A stack's id, such as cpu.")


@click.group()
def command() -> None:
    """Create, list, find and remove environments: exact versions, each wheel checked by hash."""


@command.command()
@click.option(
    "--stack", "stack_id", metavar="S", help="A stack's id; by default the one for this machine."
)
@model_option(f"Model that the stack is chosen for, if none is named: {NAMES}.")
def create(stack_id: str | None, model: str | None) -> None:
    """Create a stack's environment from its lock."""
    from dsk.host.stack_choice import choose_strictly
    from dsk.host.this_machine import probe
    from dsk.matrix import load_matrix, speed
    from dsk.models.reference import resolve

    # The same choice as `dsk run` makes: what is created is what is asked for later.
    matrix = load_matrix()
    record = resolve(model).profile.record
    if stack_id:
        stack = _named(stack_id)
    else:
        choice = choose_strictly(matrix, probe()[0], record)
        stack = choice.stack
        for line in speed.faster(stack, choice.alternatives, speed.load(matrix)):
            console.echo(f"{line}; --stack names another one", err=True)
    environment = create_environment(stack)
    console.out().print(str(environment.path), markup=False)


@command.command("list")
def list_() -> None:
    """List the environments, one a line."""
    from dsk.runtime import environments

    current = {environments.path_of(stack) for stack in _stacks() if stack.lock_file.exists()}
    for environment in environments.present():
        state = "current" if environment.path in current else "lock has changed"
        row = (
            f"{environment.record.stack:8} {len(environment.record.versions):4} packages  "
            f"{environment.record.created:%Y-%m-%d}  {state:16} {environment.path}"
        )
        console.out().print(row, markup=False)


@command.command()
@_stack
@click.option("--all", "everything", is_flag=True, help="Remove every environment.")
def remove(stack_id: str | None, everything: bool) -> None:
    """Remove a stack's environments, those of earlier locks included."""
    from dsk.runtime import environments

    if everything == bool(stack_id):
        what = "--stack and --all exclude each other" if stack_id else "no environment is named"
        raise UsageProblem(what, do="give --stack S or --all")
    chosen = [
        environment
        for environment in environments.present()
        if everything or environment.record.stack == stack_id
    ]
    if stack_id and not chosen:
        _named(stack_id)  # an unknown stack is an error, one without environments is not
    for environment in chosen:
        environments.remove(environment)
        console.out().print(f"removed {environment.path}", markup=False)


@command.command()
@_stack
def path(stack_id: str | None) -> None:
    """Print the path of a stack's environment."""
    from dsk.runtime import environments

    console.out().print(str(environments.require(_named(stack_id)).path), markup=False)


def _named(stack_id: str | None) -> Stack:
    from dsk.matrix import load_matrix

    if stack_id is None:
        known = ", ".join(stack.id for stack in _stacks())
        what = "no stack is named"
        raise UsageProblem(what, do=f"give --stack with one of: {known}")
    return load_matrix().stack(stack_id)


def _stacks() -> list[Stack]:
    from dsk.matrix import load_matrix

    return list(load_matrix().stacks.values())

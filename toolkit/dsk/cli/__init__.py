"""The command line: a table of commands, each in a module that is imported when it is asked for."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from dsk import __version__
from dsk.errors import DskError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: (module with a click command `command`, the line that `dsk --help` prints)
    "run": ("dsk.cli.run", "Read documents: pages in, Markdown out."),
    "status": ("dsk.cli.status", "How far a run is, or how it ended."),
    "demo": ("dsk.cli.demo", "Make a test model and a page, read it for real, show both."),
    "doctor": ("dsk.cli.doctor", "What is wrong with this machine, and the command that mends it."),
    "matrix": ("dsk.cli.matrix", "Which versions run together: choose, lock, check, prove."),
    "model": ("dsk.cli.model", "The model's files: fetch them once, see that they are whole."),
    "env": ("dsk.cli.env", "Where the stacks are installed: create, list, path, remove."),
    "serve": ("dsk.cli.serve", "An OpenAI-compatible server with the model, on either engine."),
    "plan": ("dsk.cli.plan", "How many requests fit into a card's memory beside the model."),
    "render": ("dsk.cli.render", "Write the Dockerfiles and the README's tables from the matrix."),
    "build": ("dsk.cli.build", "Build the image for a GPU with docker buildx."),
    "bench": ("dsk.cli.bench", "How fast documents are read, against the plain way."),
    "verify": ("dsk.cli.verify", "Does the engine read right here? An eye chart says so."),
    "explain": ("dsk.cli.explain", "What went wrong in a log, and what to do."),
    "eyechart": ("dsk.cli.eyechart", "The test model, and the pages that it reads."),
    "patch": ("dsk.cli.patch", "Make the model's remote code right on every transformers."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def __init__(self, *, table: dict[str, tuple[str, str]], **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Commands in the table's order, which is the order of use."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module and return its ``command``."""
        if cmd_name not in self.table:
            return None
        command: click.Command = importlib.import_module(self.table[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table's own lines: nothing is imported to print them."""
        if not self.table:
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in self.table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is told the nearest known one."""
        import difflib

        if args and args[0] not in self.table and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.table, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="dsk")
def cli() -> None:
    """DeepSeek-OCR, the same on every machine.

    doctor says what is wrong with this machine, build makes an image from the matrix, run reads
    documents. Every command has --help.
    """


def main() -> None:
    """Run the command line; a `DskError` becomes one line on stderr and its exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as problem:
        problem.show()
        sys.exit(problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except DskError as error:
        from dsk import console

        console.fail(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)

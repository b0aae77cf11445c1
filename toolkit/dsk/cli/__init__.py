"""The command line: a table of commands, whose modules are imported when they are called."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Final

import click

from dsk import __version__, console, credentials
from dsk.errors import DskError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: (module with a click command `command`, the line that `dsk --help` prints)
    "run": ("dsk.cli.run", "Read documents and write Markdown, JSON, HTML and more."),
    "status": ("dsk.cli.status", "Show the progress of a run, or its result."),
    "merge": ("dsk.cli.merge", "Merge the shards of a run that several machines have read."),
    "demo": (
        "dsk.cli.demo",
        "Make a test model and a page, read it with the real engine, show both.",
    ),
    "doctor": ("dsk.cli.doctor", "Check this machine, and print the commands that fix it."),
    "matrix": ("dsk.cli.matrix", "List, select, lock, check and prove stacks of versions."),
    "model": ("dsk.cli.model", "Fetch the model's files and check them."),
    "env": ("dsk.cli.env", "Create, list, find and remove the stacks' environments."),
    "serve": ("dsk.cli.serve", "Serve the model with an OpenAI-compatible API."),
    "plan": ("dsk.cli.plan", "Plan how many requests fit in a card's memory."),
    "render": (
        "dsk.cli.render",
        "Write the Dockerfiles and the documentation's tables from the matrix.",
    ),
    "build": ("dsk.cli.build", "Build the image for a GPU with docker buildx."),
    "bench": ("dsk.cli.bench", "Measure how fast documents are read, against a baseline."),
    "verify": ("dsk.cli.verify", "Read an eye chart with the engine and compare the text."),
    "explain": ("dsk.cli.explain", "Explain an error log and what to do."),
    "eyechart": ("dsk.cli.eyechart", "Make the test model and pages that it can read."),
    "patch": ("dsk.cli.patch", "Make the model's remote code work on every transformers."),
}


class LazyGroup(click.Group):
    """A group that lists its commands without importing them: `dsk --help` has to be fast."""

    def __init__(self, *, table: dict[str, tuple[str, str]], **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the table's order, which is the order of use."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module and return its ``command``."""
        if cmd_name not in self.table:
            return None
        command: click.Command = importlib.import_module(self.table[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table's lines, without importing a command."""
        if not self.table:
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in self.table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command; for an unknown name, suggest the nearest known one."""
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
    """Run the DeepSeek-OCR family the same way on every machine.

    dsk doctor checks this machine, dsk build builds an image, dsk run reads documents. Every
    command has --help.
    """


def main() -> None:
    """Run the command line; print a `DskError` as one line on stderr, and exit with its code."""
    sys.excepthook = console.print_traceback
    credentials.hide_key()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as problem:
        # What it quotes of the command line may come from a list, or a name on the disk.
        shown = io.StringIO()
        problem.show(shown)
        console.echo(shown.getvalue(), err=True, nl=False)
        sys.exit(problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        console.echo("interrupted", err=True)
        sys.exit(130)
    except DskError as error:
        console.fail(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Python flushes stdout once more when it exits, and would report the broken pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # 128 + SIGPIPE, as other programs end in a pipeline
    sys.exit(code if isinstance(code, int) else 0)

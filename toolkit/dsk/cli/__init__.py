"""The command line: a table of commands, whose modules are imported when they are called."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shlex
import sys
from typing import TYPE_CHECKING, Final

import click

from dsk import __version__, console, credentials, filenames, own_image
from dsk.errors import DskError, Interrupted, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable

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
            image = own_image.around() if ctx.parent is None else None
            # A program, as other images take one.
            if image and not near and not os.path.lexists(args[0]):
                what = f"dsk has no command '{args[0]}', and an image of dsk runs dsk alone"
                raise UsageProblem(what, do=image.program(args))
            hint = f" Did you mean '{near[0]}'?" if near else ""
            if os.path.lexists(args[0]):
                hint = f" To read it: dsk run {shlex.quote(args[0])} -o out"
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
    console.open_closed_streams()
    sys.excepthook = console.print_traceback
    credentials.hide_key()
    code = _exit_code(_run)
    # What is still buffered is written here, where a failure is reported in one line.
    sys.exit(_exit_code(_flush) or code)


def _run() -> int:
    code = cli.main(standalone_mode=False)
    return code if isinstance(code, int) else 0


def _flush() -> int:
    sys.stdout.flush()
    return 0


def _exit_code(action: Callable[[], int]) -> int:
    """Return the exit code of an action; what it raises is printed."""
    try:
        return action()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except (click.ClickException, DskError) as error:
        _report(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        console.echo("interrupted", err=True)
        return Interrupted.exit_code
    except BrokenPipeError:
        console.discard_output()
        return 141  # 128 + SIGPIPE, as other programs end in a pipeline
    except OSError as error:
        return _report_failed_file(error)


def _report(error: click.ClickException | DskError) -> None:
    if isinstance(error, DskError):
        console.fail(str(error))
        return
    # What it quotes of the command line may come from a list, or a name on the disk.
    shown = io.StringIO()
    error.show(shown)
    console.echo(shown.getvalue(), err=True, nl=False)


def _report_failed_file(error: OSError) -> int:
    """Print in one line which file failed, or that the output did."""
    if error.filename is None:  # a stream that is open: what a command prints
        console.discard_output()
        reason = error.strerror or str(error)
        message = f"the output cannot be written ({reason}): send it to another file or disk"
    else:
        message = f"{filenames.printable(error.filename)}: {error.strerror}"
    with contextlib.suppress(OSError):  # stderr may lie on the same full disk
        console.fail(message)
    return DskError.exit_code

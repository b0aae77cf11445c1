"""The reference of the command line in Markdown, made from click's own help records."""

from __future__ import annotations

import inspect
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every command has it: the page says so once.
_EVERYWHERE: Final = "--help"


def reference(commands: click.Group) -> str:
    """Return a section for each command below a group, groups before their members."""
    with click.Context(commands, info_name="dsk", **commands.context_settings) as context:
        return "\n\n".join(_sections(commands, context, depth=2))


def _sections(group: click.Group, parent: click.Context, depth: int) -> Iterator[str]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None or command.hidden:
            continue
        with click.Context(command, info_name=name, parent=parent) as context:
            yield "\n\n".join(_section(command, context, depth))
            if isinstance(command, click.Group):
                yield from _sections(command, context, depth + 1)


def _section(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {context.command_path}"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```"
    # click cleans the docstring up when it prints it, not when it takes it.
    yield from _prose(inspect.cleandoc(command.help or ""))
    # Options of `dsk.cli.common.sections` have a heading.
    parameters = groupby(command.get_params(context), lambda option: getattr(option, "section", ""))
    for title, options in parameters:
        items = [_option(option, context) for option in options]
        if listed := "\n".join(item for item in items if item):
            if title:
                yield f"{title}:"
            yield listed


def _prose(text: str) -> Iterator[str]:
    """Return the help text's paragraphs; those that click keeps as they are may be examples."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].strip() != "\b":
            yield _escaped(" ".join(line.strip() for line in lines))
            continue
        kept = lines[1:]
        if kept[0].endswith(":") and not kept[0].startswith(" "):
            yield _escaped(kept.pop(0))
        if all(line.startswith(" ") for line in kept):
            yield "```text\n" + textwrap.dedent("\n".join(kept)) + "\n```"
        else:
            yield _escaped(" ".join(line.strip() for line in kept))


def _option(parameter: click.Parameter, context: click.Context) -> str:
    """Return a list item for an option; nothing for an argument, which the usage line has."""
    record = parameter.get_help_record(context)
    if not isinstance(parameter, click.Option) or record is None or _EVERYWHERE in parameter.opts:
        return ""
    flags, meaning = record
    return f"- `{flags}`: {_escaped(' '.join(meaning.split()))}"


def _escaped(text: str) -> str:
    """Escape a help text for Markdown; backquotes mean code in both."""
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("*", r"\*")):
        text = text.replace(sign, written)
    return text

"""Options under headings."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from dsk.cli import bench, run
from dsk.cli.common.sections import SectionedCommand, option


def sections(command: click.Command) -> dict[str, list[str]]:
    """The options that a command's help lists under each heading."""
    help_text = CliRunner().invoke(command, ["--help"], terminal_width=80).output
    found: dict[str, list[str]] = {}
    for line in help_text.splitlines():
        if heading := re.fullmatch(r"(\w[\w ]*):", line):
            found[heading[1]] = []
        if found and (name := re.match(r"  (?:-\w, )?(--[\w-]+)", line)):
            found[list(found)[-1]].append(name[1])
    return found


@pytest.mark.parametrize(
    ("command", "titles"),
    [
        (
            run.command,
            ["Input", "Model and engine", "Reading", "Output", "Resuming", "Limits", "Server"],
        ),
        (
            bench.command,
            ["Input", "Model and engine", "Reading", "Output", "Limits", "Measurement"],
        ),
    ],
)
def test_every_option_is_under_one_heading(command: click.Command, titles: list[str]) -> None:
    found = sections(command)
    assert list(found) == [*titles, "Other"]
    assert found["Other"] == ["--help"]
    listed = [name for names in found.values() for name in names]
    options = [one.opts[-1] for one in command.params if isinstance(one, click.Option)]
    assert sorted(listed) == sorted([*options, "--help"])


def test_the_help_has_what_the_matrix_knows_of_the_model() -> None:
    help_text = CliRunner().invoke(run.command, ["--help"], terminal_width=999).output
    assert "[default: (deepseek-ocr, or the server's)]" in help_text
    assert "Model: deepseek-ocr, " in help_text
    assert "of markdown, ocr, free, figure, describe, " in help_text
    assert "with other settings: 1 to 5." in help_text


@pytest.mark.parametrize("attempts", ["0", "6", "many"])
def test_no_more_attempts_than_the_model_has_retry_steps(attempts: str) -> None:
    arguments = ["a.pdf", "-o", "out", "--attempts", attempts]
    ended = CliRunner().invoke(run.command, arguments)
    assert ended.exit_code == 2
    assert "Invalid value for '--attempts'" in ended.output


def test_what_takes_time_to_load_is_not_asked_for_without_help() -> None:
    asked: list[bool] = []

    def facts() -> dict[str, str]:
        asked.append(True)
        return {"name": "value"}

    @click.command(cls=SectionedCommand)
    @option("Things", "--thing", default="x", facts=facts, help="One {name}.")
    def command(thing: str) -> None:
        click.echo(thing)

    assert CliRunner().invoke(command, []).output == "x\n"
    assert asked == []
    assert "One value." in CliRunner().invoke(command, ["--help"]).output

"""The reference of the command line: every command and option, in Markdown."""

import click
import pytest

from dsk.cli import cli
from dsk.generated.cli_reference import reference


@click.group()
def tool() -> None:
    """Do two things."""


@tool.group()
def deep() -> None:
    """Hold a command."""


@deep.command()
@click.argument("place")
@click.option(
    "--kind", type=click.Choice(["a", "b"]), default="a", show_default=True, help="A <td>."
)
def dig(place: str, kind: str) -> None:
    """Dig a hole, *soon*,
    in the ground.

    \b
    Examples:
      tool deep dig here
      tool deep dig there --kind b
    """


@tool.command(hidden=True)
def secret() -> None:
    """Nothing to see."""


def test_a_command_has_its_usage_its_help_and_its_options() -> None:
    assert reference(tool) == (
        "## dsk deep\n\n```text\ndsk deep [OPTIONS] COMMAND [ARGS]...\n```\n\nHold a command.\n\n"
        "### dsk deep dig\n\n```text\ndsk deep dig [OPTIONS] PLACE\n```\n\n"
        "Dig a hole, \\*soon\\*, in the ground.\n\nExamples:\n\n"
        "```text\ntool deep dig here\ntool deep dig there --kind b\n```\n\n"
        "- `--kind [a|b]`: A &lt;td>. [default: a]"
    )


def every_command(group: click.Group, name: str) -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    found: list[tuple[str, click.Command]] = []
    for member in group.list_commands(context):
        command = group.get_command(context, member)
        assert command is not None
        found.append((f"{name} {member}", command))
        if isinstance(command, click.Group):
            found += every_command(command, f"{name} {member}")
    return found


@pytest.mark.parametrize(("name", "command"), every_command(cli, "dsk"))
def test_each_command_and_option_of_dsk_is_in_the_reference(
    name: str, command: click.Command
) -> None:
    _, _, rest = reference(cli).partition(f" {name}\n")
    section = rest.partition("\n## ")[0]
    assert section
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert f"`{', '.join(parameter.opts)}" in section

"""What `--help` prints."""

from collections.abc import Iterator

import click
import pytest

from dsk.cli import cli


def groups(group: click.Group, path: str = "dsk") -> Iterator[tuple[str, click.Group]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield f"{path} {name}", command
            yield from groups(command, f"{path} {name}")


@pytest.mark.parametrize(("path", "group"), list(groups(cli)))
def test_the_list_of_a_group_s_commands_cuts_no_sentence_off(path: str, group: click.Group) -> None:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert not command.get_short_help_str(limit=74 - len(name)).endswith("..."), name

"""The options of a server's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from dsk.cli.common import api_key

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.pass_context
def command(context: click.Context, api_key: str | None, api_key_file: Path | None) -> None:
    context.obj.append((api_key, api_key_file))


for decorate in api_key.options("Key of the test"):
    command = decorate(command)


@pytest.mark.parametrize(
    ("arguments", "variables", "wanted"),
    [
        ([], {}, None),
        ([], {"DSK_API_KEY": ""}, None),
        ([], {"DSK_API_KEY": "variable"}, "variable"),
        (["--api-key", "given"], {"DSK_API_KEY": "variable"}, "given"),
        (["--api-key-file", "FILE"], {"DSK_API_KEY": "variable"}, "filed"),
        ([], {"DSK_API_KEY_FILE": "FILE"}, "filed"),
        ([], {"DSK_API_KEY_FILE": ""}, None),
    ],
)
def test_a_file_comes_before_an_option_and_an_option_before_the_variable(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], wanted: str | None
) -> None:
    file = tmp_path / "key"
    file.write_text("filed\n")
    named = [argument.replace("FILE", str(file)) for argument in arguments]
    environment = {"DSK_API_KEY": "", "DSK_API_KEY_FILE": ""}
    environment |= {name: value.replace("FILE", str(file)) for name, value in variables.items()}
    seen: list[tuple[str | None, Path | None]] = []
    done = CliRunner().invoke(command, named, obj=seen, env=environment, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert api_key.given(*seen[0]) == wanted

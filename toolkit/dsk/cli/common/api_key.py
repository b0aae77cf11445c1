"""The options that give the key of a server, for the commands that take one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dsk import credentials
from dsk.cli.common.sections import SectionOption

if TYPE_CHECKING:
    from collections.abc import Callable


def options(meaning: str, **settings: Any) -> list[Callable[[Any], Any]]:
    """Return the decorators of the options; `given` makes a key of their values.

    Args:
        meaning: the key, as the start of a sentence.
        settings: further ones of `SectionOption`.
    """
    return [
        click.option(
            credentials.KEY_FLAG,
            cls=SectionOption,
            envvar=credentials.KEY_VARIABLE,
            show_envvar=True,
            help=f"{meaning}. Prefer the variable or a file: other users see command lines.",
            **settings,
        ),
        click.option(
            f"{credentials.KEY_FLAG}-file",
            cls=SectionOption,
            metavar="FILE",
            envvar=credentials.FILE_VARIABLE,
            show_envvar=True,
            type=click.Path(path_type=Path),
            help="File whose first line is that key; it takes precedence.",
            **settings,
        ),
    ]


def given(key: str | None, file: Path | None) -> str | None:
    """Return the key that the options give, if any; the file comes first.

    Raises:
        UsageProblem: it is no key.
        InputUnreadable: the file cannot be read.
    """
    if file:
        return credentials.key_in(file)
    return credentials.checked(key) if key else None

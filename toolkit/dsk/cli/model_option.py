"""The option `--model`, the same in every command that takes a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsk.cli.model_facts import model_facts
from dsk.cli.sections import option

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE: Final = "DSK_MODEL"
NAMES: Final = "{ids}, or a hub id, name or alias"


def model_option(meaning: str, *, section: str = "", default: str = "{id}") -> Callable[[Any], Any]:
    """Return the decorator that gives a command ``--model``; the value is `resolve`'s argument.

    Args:
        meaning: the help; may have the placeholders of `model_facts`.
        section: the heading in the command's help.
        default: the default that the help shows.
    """
    return option(
        section,
        "--model",
        metavar="MODEL",
        envvar=VARIABLE,
        show_default=default,
        facts=model_facts,
        help=meaning,
    )

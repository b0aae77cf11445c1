"""The option `--model`, the same in every command, and what help says of the models."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from dsk.cli.common.sections import option
from dsk.models import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

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


@functools.cache
def model_facts() -> dict[str, str]:
    """Return the values of the placeholders in help texts."""
    from dsk import models

    default, known = models.default(), models.profiles().values()
    # Names are listed once, in the order of the first model that has them.
    prompts = dict.fromkeys(name for model in known for name in model.record.prompts)
    return {
        "id": default.id,
        "ids": ", ".join(model.id for model in known),
        "prompts": ", ".join(prompts),
        "attempts": str(max_attempts()),
    }


def max_attempts() -> int:
    """Return the most attempts at a page that any model has retry steps for."""
    from dsk import models

    return max(len(model.record.retry_steps) for model in models.profiles().values())

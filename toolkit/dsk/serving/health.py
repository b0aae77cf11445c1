"""``python -m dsk.serving.health``: an image's HEALTHCHECK, asking the server if there is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dsk.serving.server import is_healthy

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST: Final = Path("/proc/1/cmdline")


def address(started: Sequence[str]) -> str | None:
    """Where a container's server listens.

    Args:
        started: the command line of the container's first process.

    Returns:
        Its address as the container itself reaches it; None where no server was started.
    """
    from dsk.cli.serve import command

    if "serve" not in started:
        return None
    given = list(started[started.index("serve") + 1 :])
    try:
        context = command.make_context("serve", given, resilient_parsing=True)
    except click.ClickException:
        return None
    host, port = context.params["host"], context.params["port"]
    own = "127.0.0.1" if host in (None, "0.0.0.0") else host  # noqa: S104
    return f"http://{f'[{own}]' if ':' in own else own}:{port or 8000}"


def main() -> int:
    """0 where the server answers, or where there is none to ask."""
    found = address(_FIRST.read_bytes().decode(errors="replace").split("\0")[:-1])
    return 0 if found is None or is_healthy(found) else 1


if __name__ == "__main__":
    sys.exit(main())

"""``python -m dsk.serving.health``: an image's HEALTHCHECK, asking the server if there is one."""

from __future__ import annotations

import sys
from argparse import ArgumentError, ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.serving.server import is_healthy

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST_PROCESS: Final = Path("/proc/1/cmdline")


def address(command: Sequence[str]) -> str | None:
    """Return the URL at which a container's server listens, as the container itself reaches it.

    Args:
        command: the command line of the container's first process.

    Returns:
        None if that command starts no server.
    """
    if "serve" not in command:
        return None
    # The two options of `dsk serve` that count here. The command itself is not imported: this
    # runs every few seconds, and nothing below the command line may depend on it.
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    try:
        options, _ = parser.parse_known_args(command[command.index("serve") + 1 :])
    except ArgumentError:
        return None
    host = "127.0.0.1" if options.host == "0.0.0.0" else options.host  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{options.port}"


def main() -> int:
    """Return 0 if the server answers or none was started, 1 otherwise."""
    command = _FIRST_PROCESS.read_bytes().decode(errors="replace").split("\0")[:-1]
    url = address(command)
    return 0 if url is None or is_healthy(url) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Building an image: `docker buildx build` as a subprocess, its output passed on as it comes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from dsk import processes
from dsk.errors import BuildFailed, EngineMissing, Interrupted
from dsk.server_log import ServerLog

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.compat import Stack


def command(dockerfile: Path, context: Path, tag: str) -> list[str]:
    """The command that builds an image and loads it into the local engine."""
    return [
        "docker",
        "buildx",
        "build",
        "--load",
        "--tag",
        tag,
        "--file",
        str(dockerfile),
        str(context),
    ]


def build(arguments: list[str], stack: Stack) -> None:
    """Run a build to its end; what `dsk explain` makes of one that fails goes to stderr.

    Raises:
        EngineMissing: there is no docker, or it has no buildx.
        BuildFailed: the build said no.
        Interrupted: the user did.
    """
    _require_buildx()
    with processes.Child(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        log = ServerLog(child)
        code = child.wait()
        log.finish()
    if code == Interrupted.exit_code:
        what = "the build was interrupted"
        raise Interrupted(what)
    if code != 0:
        log.explain(stack)
        what = f"docker buildx build ended with {code}"
        raise BuildFailed(what, do="the lines above say why")


def _require_buildx() -> None:
    docker = processes.find("docker", do="install Docker Engine 23 or later with its buildx plugin")
    if processes.capture([docker, "buildx", "version"], seconds=30).code != 0:
        what = "this docker has no buildx"
        raise EngineMissing(what, do="install the docker-buildx plugin")

"""Building an image: `docker buildx build` as a subprocess, its output passed on as it comes."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from dsk.errors import BuildFailed, EngineMissing

if TYPE_CHECKING:
    from pathlib import Path


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


def build(arguments: list[str]) -> None:
    """Run a build to its end.

    Raises:
        EngineMissing: there is no docker, or it has no buildx.
        BuildFailed: the build said no.
    """
    _require_buildx()
    done = subprocess.run(arguments, check=False)
    if done.returncode != 0:
        what = f"docker buildx build ended with {done.returncode}"
        raise BuildFailed(what, do="the lines above say why; dsk explain reads a saved log")


def _require_buildx() -> None:
    if shutil.which("docker") is None:
        what = "there is no docker on this machine"
        raise EngineMissing(what, do="install Docker Engine 23 or later with its buildx plugin")
    asked = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False)
    if asked.returncode != 0:
        what = "this docker has no buildx"
        raise EngineMissing(what, do="install the docker-buildx plugin")

"""The Docker engine, through its SDK, and the buildx plugin."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from dsk import processes
from dsk.doctor.facts import Docker
from dsk.doctor.probes.host import release_in
from dsk.errors import EngineMissing

_SECONDS: Final = 3
_SOCKET: Final = Path("/var/run/docker.sock")


def look() -> Docker:
    """The engine's and buildx's releases."""
    client = shutil.which("docker") is not None
    engine, problem = _engine()
    return Docker(client=client, engine=engine, problem=problem, buildx=_buildx() if client else "")


def _engine() -> tuple[str, str]:
    """The engine's release, or why there is none."""
    if "DOCKER_HOST" not in os.environ and not _SOCKET.exists():
        return "", "no engine is running (there is no socket)"
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=_SECONDS)
        try:
            return str(client.version()["Version"]), ""
        finally:
            client.close()
    except DockerException as error:
        return "", " ".join(str(error).split())[:160]


def _buildx() -> str:
    try:
        said = processes.capture(["docker", "buildx", "version"], seconds=_SECONDS)
    except EngineMissing:
        return ""
    words = said.stdout.replace(" v", " ").split()
    numbers = [word for word in words if release_in(word) and word[0].isdigit()]
    return numbers[0] if said.code == 0 and numbers else ""

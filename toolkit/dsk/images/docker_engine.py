"""The Docker engine for a build: its version, buildx's, its image store and free space."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk import processes
from dsk.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first release with BuildKit as its builder.
OLDEST_ENGINE: Final = (23, 0)
OLDEST_BUILDX: Final = (0, 10)
# The first buildx whose BuildKit has rewrite-timestamp.
REWRITES: Final = (0, 13)
# Bytes: layers, wheels and the image of stack cpu took 27 GiB (measured 2026-11-27).
ROOM: Final = 30 << 30

_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class DockerEngine:
    """Properties of the engine that matter for a build."""

    version: tuple[int, ...]
    buildx: tuple[int, ...]
    containerd_store: bool
    """True if it keeps images in containerd, not in its classic store."""
    builder: str
    """Driver of buildx's builder; ``docker`` is the engine itself."""
    free: int | None
    """Free bytes of its folder; None if the folder is not visible from here."""


def inspect() -> DockerEngine:
    """Query docker for the engine's properties.

    Raises:
        EngineMissing: docker or buildx is missing, or the engine does not answer.
    """
    docker = processes.find("docker", do="install Docker Engine 23 or later with its buildx plugin")
    buildx = processes.capture([docker, "buildx", "version"], seconds=_SECONDS)
    if buildx.code != 0:
        what = "this docker has no buildx"
        raise EngineMissing(what, do="install the docker-buildx plugin")
    info = processes.capture([docker, "info", "--format", "{{json .}}"], seconds=_SECONDS)
    properties = json.loads(info.stdout) if info.stdout.startswith("{") else {}
    # Without an engine `docker info` still prints the client's half, with exit code 0 or 1.
    if not properties.get("ServerVersion"):
        what = "the Docker engine does not answer"
        raise EngineMissing(what, do="start it, or run dsk doctor")
    return DockerEngine(
        version=numbers(properties["ServerVersion"]),
        buildx=numbers(buildx.stdout),
        containerd_store="io.containerd.snapshotter" in json.dumps(properties.get("DriverStatus")),
        builder=_builder(docker),
        free=_free(properties.get("DockerRootDir", "")),
    )


def _builder(docker: str) -> str:
    output = processes.capture([docker, "buildx", "inspect"], seconds=_SECONDS).stdout
    driver = re.search(r"^Driver:\s*(\S+)", output, re.MULTILINE)
    return driver[1] if driver else "docker"


def numbers(text: str) -> tuple[int, ...]:
    """Return the first version number in a text, or ()."""
    version = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in version.groups() if part) if version else ()


def require(engine: DockerEngine, *, rewrites: bool) -> None:
    """Check that an engine can build.

    Args:
        engine: its properties.
        rewrites: True if timestamps are to be rewritten.

    Raises:
        EngineMissing: it or buildx is too old, or its builder cannot rewrite timestamps.
    """
    oldest_buildx = REWRITES if rewrites else OLDEST_BUILDX
    for name, version, oldest in (
        ("Docker Engine", engine.version, OLDEST_ENGINE),
        ("docker-buildx", engine.buildx, oldest_buildx),
    ):
        if version and version < oldest:
            what = f"{name} {'.'.join(map(str, version))} is too old"
            raise EngineMissing(what, do=f"install {'.'.join(map(str, oldest))} or later")
    # A builder in a container of its own has its own store.
    if rewrites and engine.builder == "docker" and not engine.containerd_store:
        what = "this Docker engine's classic image store cannot rewrite timestamps"
        raise EngineMissing(
            what,
            do='enable its containerd image store ("features": {"containerd-snapshotter": true} in'
            " daemon.json), or create a separate builder: docker buildx create --use",
        )


def warnings(engine: DockerEngine) -> Iterator[str]:
    """Yield warnings about a build on this machine."""
    if engine.free is not None and engine.free < ROOM:
        yield (
            f"{engine.free / 2**30:.0f} GiB are free where Docker keeps its files, and a first "
            f"build takes about {ROOM >> 30} GiB: docker builder prune frees space"
        )


def image_id(tag: str) -> str | None:
    """Return the id of the image with this tag in the engine, or None."""
    docker = processes.find("docker", do="install Docker Engine 23 or later")
    arguments = [docker, "image", "inspect", "--format", "{{.Id}}", tag]
    ended = processes.capture(arguments, seconds=_SECONDS)
    return ended.stdout.strip() or None if ended.code == 0 else None


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free if folder else None
    except OSError:
        return None

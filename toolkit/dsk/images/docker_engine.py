"""The Docker engine that is to build: its version, buildx's, its store and the room it has."""

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

OLDEST_ENGINE: Final = (23, 0)
"""The first with BuildKit as its builder."""
OLDEST_BUILDX: Final = (0, 10)
REWRITES: Final = (0, 13)
"""The first buildx whose BuildKit has rewrite-timestamp."""
ROOM: Final = 30 << 30
"""Bytes: layers, wheels and the image of stack cpu took 27 GiB (measured 2026-11-27)."""

_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class DockerEngine:
    """What is asked of it before a build."""

    version: tuple[int, ...]
    buildx: tuple[int, ...]
    containerd_store: bool
    """It keeps images in containerd."""
    builder: str
    """The driver of buildx's builder: ``docker`` is the engine itself."""
    free: int | None
    """Bytes, where its folder can be seen from here."""


def ask() -> DockerEngine:
    """Ask docker.

    Raises:
        EngineMissing: there is no docker, no buildx or no engine that answers.
    """
    docker = processes.find("docker", do="install Docker Engine 23 or later with its buildx plugin")
    buildx = processes.capture([docker, "buildx", "version"], seconds=_SECONDS)
    if buildx.code != 0:
        what = "this docker has no buildx"
        raise EngineMissing(what, do="install the docker-buildx plugin")
    info = processes.capture([docker, "info", "--format", "{{json .}}"], seconds=_SECONDS)
    told = json.loads(info.stdout) if info.stdout.startswith("{") else {}
    if not told.get("ServerVersion"):
        what = "the Docker engine does not answer"
        raise EngineMissing(what, do="start it, or see what dsk doctor says of it")
    return DockerEngine(
        version=numbers(told["ServerVersion"]),
        buildx=numbers(buildx.stdout),
        containerd_store="io.containerd.snapshotter" in json.dumps(told.get("DriverStatus")),
        builder=_builder(docker),
        free=_free(told.get("DockerRootDir", "")),
    )


def _builder(docker: str) -> str:
    told = processes.capture([docker, "buildx", "inspect"], seconds=_SECONDS).stdout
    found = re.search(r"^Driver:\s*(\S+)", told, re.MULTILINE)
    return found[1] if found else "docker"


def numbers(text: str) -> tuple[int, ...]:
    """The first version number in a text; empty where there is none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part) if found else ()


def require(engine: DockerEngine, *, rewrites: bool) -> None:
    """See that an engine can build.

    Args:
        engine: what was asked of it.
        rewrites: whether times are to be rewritten.

    Raises:
        EngineMissing: it, or buildx, is too old, or its builder rewrites no times.
    """
    wanted = REWRITES if rewrites else OLDEST_BUILDX
    for name, found, least in (
        ("Docker Engine", engine.version, OLDEST_ENGINE),
        ("docker-buildx", engine.buildx, wanted),
    ):
        if found and found < least:
            what = f"{name} {'.'.join(map(str, found))} is too old"
            raise EngineMissing(what, do=f"install {'.'.join(map(str, least))} or later")
    if rewrites and engine.builder == "docker" and not engine.containerd_store:
        what = "this Docker engine keeps images in its classic store, and rewrites no times there"
        raise EngineMissing(
            what,
            do='turn on its containerd image store ("features": {"containerd-snapshotter": true} in'
            " daemon.json), or make a builder of its own: docker buildx create --use",
        )


def warnings(engine: DockerEngine) -> Iterator[str]:
    """What may go wrong with a build here."""
    if engine.free is not None and engine.free < ROOM:
        yield (
            f"{engine.free / 2**30:.0f} GiB are free where Docker keeps its files, and a first "
            f"build takes about {ROOM >> 30}: docker builder prune makes room"
        )


def image_id(tag: str) -> str | None:
    """The image of a name in the engine; None where there is none."""
    docker = processes.find("docker", do="install Docker Engine 23 or later")
    asked = [docker, "image", "inspect", "--format", "{{.Id}}", tag]
    done = processes.capture(asked, seconds=_SECONDS)
    return done.stdout.strip() or None if done.code == 0 else None


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free if folder else None
    except OSError:
        return None

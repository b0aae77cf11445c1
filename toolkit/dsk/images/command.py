"""The command lines of `docker buildx build`: pure."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dsk.matrix import Stack

SHM_SIZE: Final = "1g"
"""Of every step: the engine's processes pass pages through it, and BuildKit gives 64 MB."""

CONTAINERD_STORE: Final = ("compression=uncompressed", "unpack=true")
"""For an engine that keeps images in containerd: it takes 2 minutes in place of 6 for a 6 GB layer
(measured 2026-11-27, 2 cores); a push compresses."""


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """An image that is to be built.

    Args:
        stack: what is in it.
        dockerfile: the rendered file.
        context: the folder that it copies from.
        tag: the image's name.
        base: another base image than the stack's.
        devel: another image to compile in than the stack's.
        max_jobs: compilers at once; the stack's number when not given.
        network: of the steps, as buildx takes it.
        push: send it to the registry of its name and keep nothing here.
        cache_from: where layers may come from, as buildx takes it.
        cache_to: where layers go, as buildx takes it.
        reproducible: BuildKit sets every time in the layers above its base to the lock's.
    """

    stack: Stack
    dockerfile: Path
    context: Path
    tag: str
    base: str | None = None
    devel: str | None = None
    max_jobs: int | None = None
    network: str | None = None
    push: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    reproducible: bool = False


def epoch(stack: Stack) -> int:
    """Seconds since 1970: the day that everything in the lock is older than."""
    return calendar.timegm(stack.resolve_before.timetuple())


def build(
    request: BuildRequest,
    target: str,
    output: Sequence[str],
    *,
    secrets: Sequence[str] = (),
    more: Sequence[str] = (),
) -> list[str]:
    """A command that builds one target of the Dockerfile.

    Args:
        request: what is wanted.
        target: a stage of the Dockerfile.
        output: options that say what becomes of it.
        secrets: options that hand over secrets.
        more: options for this build alone.
    """
    options = [f"--target={target}", f"--shm-size={SHM_SIZE}"]
    options += [f"--build-arg=SOURCE_DATE_EPOCH={epoch(request.stack)}"]
    options += [f"--build-arg=BASE={request.base}"] if request.base else []
    options += [f"--build-arg=DEVEL={request.devel}"] if request.devel else []
    options += [f"--build-arg=MAX_JOBS={request.max_jobs}"] if request.max_jobs else []
    options += [f"--network={request.network}"] if request.network else []
    options += [f"--cache-from={place}" for place in request.cache_from]
    return [
        *("docker", "buildx", "build", "--progress=plain"),
        *options,
        *secrets,
        *more,
        *output,
        f"--file={request.dockerfile}",
        str(request.context),
    ]


def image(request: BuildRequest, *, containerd_store: bool, archive: Path) -> list[str]:
    """The output options of the image itself.

    Args:
        request: what is wanted.
        containerd_store: the engine keeps images in containerd.
        archive: where a reproducible image goes before `load_or_push`: an engine that unpacks
            what it builds, and each does, refuses to rewrite times.
    """
    options = [f"--cache-to={place}" for place in request.cache_to]
    named = f"name={request.tag}"
    if request.reproducible:
        options += ["--provenance=false"]  # it tells when the build was
        kept = () if request.push else ("compression=uncompressed",)
        parts = ("type=docker", named, "rewrite-timestamp=true", *kept, f"dest={archive}")
    elif request.push:
        parts = ("type=image", named, "push=true")
    elif containerd_store:
        parts = ("type=image", named, *CONTAINERD_STORE)
    else:
        return [*options, "--load", f"--tag={request.tag}"]
    return [*options, f"--output={','.join(parts)}"]


def load_or_push(request: BuildRequest, archive: Path) -> list[list[str]]:
    """The commands that bring a reproducible image from its archive to where it is to be."""
    if not request.reproducible:
        return []
    pushed = [["docker", "push", request.tag], ["docker", "image", "rm", request.tag]]
    return [["docker", "load", f"--input={archive}"], *(pushed if request.push else ())]


def compared(metadata: Path) -> list[str]:
    """The options of a build that is only to be compared: no layer of before, no image of it kept.

    Uncompressed: what is compared is what is in the layers, not what a compressor made of them.
    Times are as the steps left them: the Dockerfile sets each step's to the epoch, and rewriting a
    layer of 7 GB took 4 minutes more (measured 2026-11-27, 2 cores).
    """
    parts = ("type=image", "store=false", "compression=uncompressed")
    return [
        "--no-cache",
        "--provenance=false",
        f"--metadata-file={metadata}",
        f"--output={','.join(parts)}",
    ]

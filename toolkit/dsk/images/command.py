"""The commands of a build: `docker buildx build` and what follows it; no I/O."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dsk.matrix import Stack

# Shared memory of every build step: the engine's processes pass pages through it, and BuildKit's
# default is 64 MB.
SHM_SIZE: Final = "1g"

# Output options for an engine that keeps images in containerd: a layer of 6 GB takes 2 minutes
# instead of 6 (measured 2026-11-27, 2 cores); a push compresses.
CONTAINERD_STORE: Final = ("compression=uncompressed", "unpack=true")

_SELF_TEST: Final = "selftest"
_IMAGE: Final = "image"


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """An image to build.

    Args:
        stack: the stack to install in it.
        dockerfile: the rendered file.
        context: the folder that it copies from.
        tag: the image's name.
        base: replaces the stack's base image.
        devel: replaces the stack's image for compiling.
        max_jobs: number of parallel compilers; the stack's number by default.
        network: network mode of the build steps, for buildx.
        push: push to the registry of its name, and keep nothing here.
        cache_from: sources of cached layers, for buildx.
        cache_to: destinations of cached layers, for buildx.
        reproducible: set the timestamps of all layers above the base to the lock's date.
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
    """Return the date that everything in the lock is older than, in seconds since 1970."""
    return calendar.timegm(stack.lock_date.timetuple())


def image_commands(
    request: BuildRequest,
    *,
    containerd_store: bool,
    archive: Path,
    metadata: Path | None = None,
    secrets: Sequence[str] = (),
) -> list[list[str]]:
    """Return the commands that test and build an image, in their order.

    Args:
        request: the image.
        containerd_store: the engine keeps images in containerd.
        archive: the file that a reproducible image is exported to.
        metadata: the file that buildx writes the image's digest to.
        secrets: buildx options that pass secrets.
    """
    # The self-test is a stage of its own on top of the image: no layer keeps what it leaves.
    test = _build(request, _SELF_TEST, ["--output=type=cacheonly"], secrets)
    record = [f"--metadata-file={metadata}"] if metadata else []
    output = [*record, *_output(request, containerd_store=containerd_store, archive=archive)]
    return [
        *([test] if request.stack.device == "cpu" else ()),
        _build(request, _IMAGE, output, secrets),
        *(_load_or_push(request, archive) if request.reproducible else ()),
    ]


def comparison_commands(
    request: BuildRequest, *, metadata: Sequence[Path], secrets: Sequence[str] = ()
) -> list[list[str]]:
    """Return the commands that build an image once for each metadata file, to compare digests.

    No earlier layer is used and no image is kept.

    Args:
        request: the image.
        metadata: the files that buildx writes the digests to.
        secrets: buildx options that pass secrets.
    """
    # Uncompressed, so that the layers' contents are compared and not a compressor's output.
    # Timestamps stay as the steps left them: the Dockerfile sets each step's to the epoch, and
    # rewriting a layer of 7 GB took 4 minutes more (measured 2026-11-27, 2 cores).
    output = "--output=type=image,store=false,compression=uncompressed"
    options = ["--no-cache", "--provenance=false"]
    return [
        _build(request, _IMAGE, [*options, f"--metadata-file={file}", output], secrets)
        for file in metadata
    ]


def _build(
    request: BuildRequest, target: str, output: Sequence[str], secrets: Sequence[str]
) -> list[str]:
    options = [f"--target={target}", f"--shm-size={SHM_SIZE}"]
    options += [f"--build-arg=SOURCE_DATE_EPOCH={epoch(request.stack)}"]
    options += [f"--build-arg=BASE={request.base}"] if request.base else []
    options += [f"--build-arg=DEVEL={request.devel}"] if request.devel else []
    options += [f"--build-arg=MAX_JOBS={request.max_jobs}"] if request.max_jobs else []
    options += [f"--network={request.network}"] if request.network else []
    options += [f"--cache-from={source}" for source in request.cache_from]
    return [
        *("docker", "buildx", "build", "--progress=plain"),
        *options,
        *secrets,
        *output,
        f"--file={request.dockerfile}",
        str(request.context),
    ]


def _output(request: BuildRequest, *, containerd_store: bool, archive: Path) -> list[str]:
    options = [f"--cache-to={destination}" for destination in request.cache_to]
    name = f"name={request.tag}"
    if request.reproducible:
        options += ["--provenance=false"]  # it records the time of the build
        # To an archive first: an exporter that unpacks the image, and every engine's own does,
        # refuses rewrite-timestamp.
        compression = () if request.push else ("compression=uncompressed",)
        parts = ("type=docker", name, "rewrite-timestamp=true", *compression, f"dest={archive}")
    elif request.push:
        parts = ("type=image", name, "push=true")
    elif containerd_store:
        parts = ("type=image", name, *CONTAINERD_STORE)
    else:
        return [*options, "--load", f"--tag={request.tag}"]
    return [*options, f"--output={','.join(parts)}"]


def _load_or_push(request: BuildRequest, archive: Path) -> list[list[str]]:
    load = ["docker", "load", f"--input={archive}"]
    push = [["docker", "push", request.tag], ["docker", "image", "rm", request.tag]]
    return [load, *(push if request.push else ())]

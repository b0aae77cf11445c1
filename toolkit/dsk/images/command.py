"""The commands of a build: `docker buildx build` and what follows it; no I/O."""

from __future__ import annotations

import calendar
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.images.local_images import PLAN
from dsk.images.parts import kernel_for, licences
from dsk.matrix.digests import digest_of, tag_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dsk.images.parts import Part
    from dsk.matrix import Gpu, Stack

# Shared memory of every build step: the engine's processes pass pages through it, and BuildKit's
# default is 64 MB.
SHM_SIZE: Final = "1g"

# Output options for an engine that keeps images in containerd: a layer of 6 GB takes 2 minutes
# instead of 6 (measured 2026-11-27, 2 cores); a push compresses.
CONTAINERD_STORE: Final = ("compression=uncompressed", "unpack=true")

_SELF_TEST: Final = "selftest"
_IMAGE: Final = "image"
_INVENTORY: Final = "inventory"
_BASE_LABEL: Final = "org.opencontainers.image.base"
_LICENCES_LABEL: Final = "org.opencontainers.image.licenses"
_PLATFORMS: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PART_LABEL: Final = "dsk.with"


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """An image to build.

    Args:
        stack: the stack to install in it.
        dockerfile: the rendered file.
        context: the folder that it copies from.
        tag: the image's name.
        plan_format: see `dsk.images.local_images.image_for`; a label of the image.
        model: id of the model that commands in the image take where none is named; the default
            one if it is empty.
        base: replaces the stack's base image.
        devel: replaces the stack's image for compiling.
        snapshot: the address of system packages as of a day, with ``{archive}`` in it; the
            day of the build by default.
        part: an optional part to install, see `dsk.images.parts`.
        gpu: the card that the part is compiled for; all that it has kernels for by default.
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
    plan_format: str
    model: str = ""
    base: str | None = None
    devel: str | None = None
    snapshot: str | None = None
    part: Part | None = None
    gpu: Gpu | None = None
    max_jobs: int | None = None
    network: str | None = None
    push: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    reproducible: bool = False

    @property
    def stack_as_built(self) -> Stack:
        """The stack, with the base images that the build starts from."""
        if self.stack.image is None:
            return self.stack
        other = {"runtime": self.base, "devel": self.devel}
        update = {name: reference for name, reference in other.items() if reference}
        return self.stack.model_copy(update={"image": self.stack.image.model_copy(update=update)})


def platform_of(arch: str) -> str:
    """Return Docker's name for an architecture of Linux."""
    return f"linux/{_PLATFORMS[arch]}"


def architecture_of(platform_name: str) -> str:
    """Return the architecture of one of Docker's names for a platform."""
    return next(arch for arch in _PLATFORMS if platform_of(arch) == platform_name)


def image_name(stack: Stack) -> str:
    """Return the tag of a stack's image: its id and, but for x86_64, the architecture."""
    name = stack.id.replace("@", "-")
    return name if stack.arch == "x86_64" else f"{name}-{stack.arch}"


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
        _build(request, _IMAGE, [*_labels(request), *output], secrets),
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


def inventory_command(
    request: BuildRequest, *, folder: Path, secrets: Sequence[str] = ()
) -> list[str]:
    """Return the command that writes the packages of a built image into a folder.

    Its steps are those of the image, which the builder has, and one more.

    Args:
        request: the image.
        folder: where ``inventory.json`` is written, see `dsk.locks.inventory`.
        secrets: buildx options that pass secrets.
    """
    return _build(request, _INVENTORY, [f"--output=type=local,dest={folder}"], secrets)


def _labels(request: BuildRequest) -> list[str]:
    """Return the options for labels that the Dockerfile has not, or has of another base image."""
    labels = {PLAN: request.plan_format}
    if request.part:
        labels[_PART_LABEL] = request.part.name
        labels[_LICENCES_LABEL] = licences(request.stack, request.part)
    if request.base is not None:
        labels[f"{_BASE_LABEL}.name"] = tag_of(request.base)
        labels[f"{_BASE_LABEL}.digest"] = digest_of(request.base)
    return [f"--label={key}={value}" for key, value in labels.items()]


def unpinned(request: BuildRequest) -> list[str]:
    """Return the images that a build would start from by their tags alone, without a digest."""
    image = request.stack_as_built.image
    compiles = request.part is not None and not request.part.is_wheel
    used = (image.runtime, image.devel if compiles else None) if image else ()
    return [reference for reference in used if reference and not digest_of(reference)]


def _build(
    request: BuildRequest, target: str, output: Sequence[str], secrets: Sequence[str]
) -> list[str]:
    options = [f"--target={target}", f"--shm-size={SHM_SIZE}"]
    # Docker's own choice is this machine's.
    if request.stack.arch != platform.machine():
        options += [f"--platform={platform_of(request.stack.arch)}"]
    options += [f"--build-arg=SOURCE_DATE_EPOCH={epoch(request.stack)}"]
    options += [f"--build-arg=MODEL={request.model}"] if request.model else []
    options += [f"--build-arg=BASE={request.base}"] if request.base else []
    options += [f"--build-arg=DEVEL={request.devel}"] if request.devel else []
    options += [f"--build-arg=APT_SNAPSHOT={request.snapshot}"] if request.snapshot else []
    options += [f"--build-arg={argument}" for argument in _part_arguments(request)]
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


def _part_arguments(request: BuildRequest) -> Iterator[str]:
    if request.part is None:
        return
    yield f"ENVIRONMENT={request.part.stage}"
    if request.gpu and not request.part.is_wheel:
        source = request.part.source
        yield f"{source.kernels_variable}={kernel_for(source, request.gpu)}"
    if request.max_jobs:
        yield f"MAX_JOBS={request.max_jobs}"


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

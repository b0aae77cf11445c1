"""The command lines of a build, and which engines can carry them out."""

from pathlib import Path

import pytest

from dsk.errors import EngineMissing
from dsk.images import command, docker_engine
from dsk.images.command import BuildRequest
from dsk.images.docker_engine import DockerEngine
from dsk.matrix import load_matrix

ARCHIVE = Path("image.tar")


def request(*, push: bool = False, reproducible: bool = False) -> BuildRequest:
    return BuildRequest(
        stack=load_matrix().stack("v0"),
        dockerfile=Path("Dockerfile"),
        context=Path(),
        tag="dsk:mine",
        push=push,
        reproducible=reproducible,
    )


def output(requested: BuildRequest, *, containerd_store: bool = True) -> str:
    (found,) = [
        one
        for one in command.image(requested, containerd_store=containerd_store, archive=ARCHIVE)
        if one.startswith("--output")
    ]
    return found


@pytest.mark.parametrize("push", [True, False])
def test_times_are_rewritten_in_an_archive_which_no_engine_unpacks(push: bool) -> None:
    found = output(request(push=push, reproducible=True))
    assert found.startswith("--output=type=docker,name=dsk:mine,rewrite-timestamp=true,")
    assert found.endswith(",dest=image.tar")
    assert "unpack" not in found


def test_the_archive_is_loaded_and_goes_to_the_registry_alone_if_it_is_to_be_pushed() -> None:
    load = ["docker", "load", "--input=image.tar"]
    assert command.load_or_push(request(reproducible=True), ARCHIVE) == [load]
    pushed = [load, ["docker", "push", "dsk:mine"], ["docker", "image", "rm", "dsk:mine"]]
    assert command.load_or_push(request(reproducible=True, push=True), ARCHIVE) == pushed
    assert command.load_or_push(request(push=True), ARCHIVE) == []


def test_an_image_whose_times_stay_goes_straight_to_the_engine() -> None:
    assert "unpack=true" in output(request())
    assert "--load" in command.image(request(), containerd_store=False, archive=ARCHIVE)
    assert output(request(push=True)) == "--output=type=image,name=dsk:mine,push=true"


def found(*, containerd_store: bool, builder: str) -> DockerEngine:
    return DockerEngine(
        version=(26, 1),
        buildx=(0, 13),
        containerd_store=containerd_store,
        builder=builder,
        free=None,
    )


def test_a_classic_store_cannot_rewrite_and_says_what_can() -> None:
    classic = found(containerd_store=False, builder="docker")
    with pytest.raises(EngineMissing, match=r"containerd image store .* docker buildx create"):
        docker_engine.require(classic, rewrites=True)
    docker_engine.require(classic, rewrites=False)


@pytest.mark.parametrize(
    ("containerd_store", "builder"), [(True, "docker"), (False, "docker-container")]
)
def test_the_containerd_store_or_a_builder_of_its_own_can(
    containerd_store: bool, builder: str
) -> None:
    docker_engine.require(found(containerd_store=containerd_store, builder=builder), rewrites=True)

"""The command lines of a build, and which engines can carry them out."""

import dataclasses
import platform
from pathlib import Path

import pytest

from dsk.errors import EngineMissing
from dsk.images import build as building
from dsk.images import command, docker_engine
from dsk.images.command import BuildRequest
from dsk.images.docker_engine import DockerEngine
from dsk.images.parts import part_of
from dsk.matrix import load_matrix

ARCHIVE = Path("image.tar")


def request(*, push: bool = False, reproducible: bool = False) -> BuildRequest:
    return BuildRequest(
        stack=load_matrix().stack("v0"),
        dockerfile=Path("Dockerfile"),
        context=Path(),
        tag="dsk:mine",
        plan_format="c0ffee",
        push=push,
        reproducible=reproducible,
    )


def commands(
    *, push: bool = False, reproducible: bool = False, containerd_store: bool = True
) -> list[list[str]]:
    return command.image_commands(
        request(push=push, reproducible=reproducible),
        containerd_store=containerd_store,
        archive=ARCHIVE,
    )


def output(*, push: bool = False, reproducible: bool = False) -> str:
    build, *_ = commands(push=push, reproducible=reproducible)
    (option,) = [option for option in build if option.startswith("--output")]
    return option


@pytest.mark.parametrize("push", [True, False])
def test_times_are_rewritten_in_an_archive_which_no_engine_unpacks(push: bool) -> None:
    option = output(push=push, reproducible=True)
    assert option.startswith("--output=type=docker,name=dsk:mine,rewrite-timestamp=true,")
    assert option.endswith(",dest=image.tar")
    assert "unpack" not in option


def test_the_archive_is_loaded_and_goes_to_the_registry_alone_if_it_is_to_be_pushed() -> None:
    load = ["docker", "load", "--input=image.tar"]
    assert commands(reproducible=True)[1:] == [load]
    pushed = [load, ["docker", "push", "dsk:mine"], ["docker", "image", "rm", "dsk:mine"]]
    assert commands(reproducible=True, push=True)[1:] == pushed
    assert commands(push=True)[1:] == []


def test_an_image_whose_times_stay_goes_straight_to_the_engine() -> None:
    assert "unpack=true" in output()
    assert "--load" in commands(containerd_store=False)[0]
    assert output(push=True) == "--output=type=image,name=dsk:mine,push=true"


def test_a_build_runs_the_commands_that_a_dry_run_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(
        building, "_run", lambda arguments, stack, report, log: ran.append(list(arguments))
    )
    cpu = dataclasses.replace(request(reproducible=True), stack=load_matrix().stack("cpu"))
    building.image(cpu, print, containerd_store=True, log=tmp_path / "log")
    printed = command.image_commands(cpu, containerd_store=True, archive=Path("FILE"))
    own = ("--secret=", "--metadata-file=")
    kept = [[option for option in run if not option.startswith(own)] for run in ran]
    archive = kept[-1][-1].removeprefix("--input=")
    assert [[part.replace(archive, "FILE") for part in run] for run in kept] == printed


def engine(*, containerd_store: bool, builder: str) -> DockerEngine:
    return DockerEngine(
        version=(26, 1),
        buildx=(0, 13),
        containerd_store=containerd_store,
        builder=builder,
        free=None,
    )


def test_a_classic_store_cannot_rewrite_and_says_what_can() -> None:
    classic = engine(containerd_store=False, builder="docker")
    with pytest.raises(EngineMissing, match=r"containerd image store .* docker buildx create"):
        docker_engine.require(classic, rewrites=True)
    docker_engine.require(classic, rewrites=False)


@pytest.mark.parametrize(
    ("containerd_store", "builder"), [(True, "docker"), (False, "docker-container")]
)
def test_the_containerd_store_or_a_builder_of_its_own_can(
    containerd_store: bool, builder: str
) -> None:
    docker_engine.require(engine(containerd_store=containerd_store, builder=builder), rewrites=True)


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize("digest", ["", DIGEST])
def test_an_image_on_another_base_names_that_one_in_its_labels(digest: str) -> None:
    base = f"mirror.example/cuda:1@{digest}" if digest else "mirror.example/cuda:1"
    other = dataclasses.replace(request(), base=base)
    (build,) = command.image_commands(other, containerd_store=True, archive=ARCHIVE)
    label = "--label=org.opencontainers.image.base"
    assert f"{label}.name=mirror.example/cuda:1" in build
    assert f"{label}.digest={digest}" in build
    labels = [option for option in commands()[0] if option.startswith("--label")]
    assert labels == ["--label=dsk.plan=c0ffee"]


def test_images_that_are_named_by_a_tag_alone_are_unpinned() -> None:
    assert command.unpinned(request()) == []
    others = dataclasses.replace(request(), base="a:1", devel="b:1")
    assert command.unpinned(others) == ["a:1"]
    compiling = dataclasses.replace(others, part=part_of(others.stack, "flash-attn"))
    assert command.unpinned(compiling) == ["a:1", "b:1"]
    assert command.unpinned(dataclasses.replace(request(), base=f"a:1@{DIGEST}")) == []


def test_the_day_of_the_system_packages_reaches_the_build() -> None:
    dated = dataclasses.replace(request(), snapshot="http://old.example/{archive}/1")
    (build,) = command.image_commands(dated, containerd_store=True, archive=ARCHIVE)
    assert "--build-arg=APT_SNAPSHOT=http://old.example/{archive}/1" in build
    assert not any("APT_SNAPSHOT" in option for option in commands()[0])


def test_the_inventory_is_taken_of_what_was_built(tmp_path: Path) -> None:
    asked = command.inventory_command(request(), folder=tmp_path)
    assert "--target=inventory" in asked
    assert f"--output=type=local,dest={tmp_path}" in asked


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_another_machines_image_is_built_for_its_platform(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    for stack in load_matrix().stacks["v1"].on_each:
        own = dataclasses.replace(request(), stack=stack)
        (build,) = command.image_commands(own, containerd_store=True, archive=ARCHIVE)
        docker = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[stack.arch]
        assert (f"--platform={docker}" in build) == (stack.arch != machine)
        assert command.architecture_of(docker) == stack.arch

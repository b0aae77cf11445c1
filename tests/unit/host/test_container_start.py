"""How an image's container was started: what it lacks is told with the command that gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dsk import own_image
from dsk.errors import DskError, EngineMissing, NoStackFits, UsageProblem
from dsk.host import container_start
from dsk.host.facts import GIB, Card, Facts, LibCuda, Memory, Nvidia
from dsk.host.probes.surroundings import Surroundings
from dsk.matrix import load_matrix

HERE = Surroundings(cache=Path("/home/dsk/.cache/dsk"), scratch=Path("/tmp"))
CARD = Card(
    name="NVIDIA H200", compute_capability=(9, 0), memory_total=140 * GIB, memory_free=139 * GIB
)
NVIDIA = Nvidia(
    on_bus=1, device_files=1, module=(999,), driver=(999,), cards=(CARD,), libcuda=LibCuda()
)
MEMORY = Memory(total=64 * GIB, available=60 * GIB, shared=8 * GIB)
FACTS = Facts(nvidia=NVIDIA, memory=MEMORY)


@pytest.fixture(autouse=True)
def image(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As in a container of stack v1's image, well started."""
    for name, value in (
        ("DSK_STACK", "v1"),
        ("DSK_RUNTIME", "in-place"),
        ("NVIDIA_DISABLE_REQUIRE", "1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(own_image, "container_kind", lambda: "docker")
    monkeypatch.setattr("sys.argv", ["dsk", "verify"])
    monkeypatch.setattr(container_start, "surroundings", lambda: HERE)
    return monkeypatch


def refused(facts: Facts, stack: str = "v1") -> DskError:
    with pytest.raises(DskError) as refusal:
        container_start.require(load_matrix().stack(stack), facts)
    assert "\n" not in str(refusal.value)
    return refusal.value


def test_a_container_that_was_well_started_is_left_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    container_start.require(load_matrix().stack("v1"), FACTS)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("nvidia", "expected"),
    [
        (Nvidia(), "; for a machine without a GPU: dsk build --stack cpu"),
        (Nvidia(on_bus=1), "docker run --rm --gpus all dsk:v1 verify"),
        (NVIDIA.model_copy(update={"cards": ()}), "docker run --rm --gpus all dsk:v1 verify"),
        (NVIDIA.model_copy(update={"driver": (470,)}), "docker run --rm --gpus all dsk:v1 doctor"),
        (
            NVIDIA.model_copy(
                update={"cards": (CARD.model_copy(update={"compute_capability": (5, 0)}),)}
            ),
            "docker run --rm --gpus all dsk:v1 doctor",
        ),
        (
            NVIDIA.model_copy(update={"libcuda": None}),
            "--gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility dsk:v1 verify",
        ),
    ],
)
def test_a_gpu_image_without_a_usable_gpu_tells_how_it_gets_one(
    nvidia: Nvidia, expected: str
) -> None:
    error = refused(Facts(nvidia=nvidia, memory=MEMORY))
    assert isinstance(error, NoStackFits)
    assert str(error).endswith(expected)


def test_an_image_has_no_engine_of_another_stack() -> None:
    error = refused(FACTS, "cpu")
    assert isinstance(error, UsageProblem)
    assert "dsk build --stack cpu" in error.do


@pytest.mark.parametrize(
    ("here", "option"),
    [
        (replace(HERE, cache_problem="Read-only file system"), "-v dsk-cache:/home/dsk/.cache"),
        (
            replace(HERE, cache_problem="Permission denied", cache_denied=True),
            '-v dsk-cache-"$(id -u)":/home/dsk/.cache',
        ),
        (replace(HERE, scratch_problem="noexec"), "--tmpfs /tmp:exec,mode=1777"),
        (replace(HERE, pids=100), "--pids-limit 8192"),
    ],
)
def test_what_the_container_does_not_allow_is_told_with_the_option_that_does(
    image: pytest.MonkeyPatch, here: Surroundings, option: str
) -> None:
    image.setattr(container_start, "surroundings", lambda: here)
    error = refused(FACTS)
    assert isinstance(error, EngineMissing)
    assert error.do == f"docker run --rm --gpus all {option} dsk:v1 verify"


def test_little_shared_memory_is_a_warning_for_several_gpus_and_almost_none_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = MEMORY.model_copy(update={"shared": 64 << 20})
    container_start.require(load_matrix().stack("v1"), Facts(nvidia=NVIDIA, memory=small))
    assert capsys.readouterr().err == ""
    two = NVIDIA.model_copy(update={"cards": (CARD, CARD)})
    container_start.require(load_matrix().stack("v1"), Facts(nvidia=two, memory=small))
    assert "--shm-size 8g" in " ".join(capsys.readouterr().err.split())
    none = MEMORY.model_copy(update={"shared": 1 << 20})
    assert "--shm-size 8g" in refused(Facts(nvidia=NVIDIA, memory=none)).do


def test_a_server_that_only_its_container_reaches_is_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack = load_matrix().stack("v1")
    container_start.require(stack, FACTS, listens="0.0.0.0")
    assert capsys.readouterr().err == ""
    container_start.require(stack, FACTS, listens="127.0.0.1")
    assert "serve --host 0.0.0.0" in " ".join(capsys.readouterr().err.split())


def test_outside_an_image_nothing_is_checked(image: pytest.MonkeyPatch) -> None:
    image.delenv("DSK_RUNTIME")
    container_start.require(load_matrix().stack("v1"), Facts(nvidia=Nvidia()))

"""The image around this process: known by its variables, and the command that starts it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsk import own_image
from dsk.models.reference import fetch_command


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As in a container of stack v1's image."""
    for name, value in (
        ("DSK_STACK", "v1"),
        ("DSK_RUNTIME", "in-place"),
        ("NVIDIA_DISABLE_REQUIRE", "1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(own_image, "container_kind", lambda: "docker")
    monkeypatch.setattr("sys.argv", ["dsk", "verify"])
    return monkeypatch


def test_outside_an_image_the_usual_advice_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSK_RUNTIME", raising=False)
    monkeypatch.setenv("DSK_STACK", "v1")
    assert own_image.around() is None
    assert own_image.advice("as usual", "--init") == "as usual"


def test_the_command_of_this_process_is_repeated_with_what_was_missing(
    image: pytest.MonkeyPatch,
) -> None:
    assert own_image.advice("") == "docker run --rm --gpus all dsk:v1 verify"
    image.setattr("sys.argv", ["dsk", "run", "my scan.pdf", "-o", "out"])
    assert own_image.advice("", "--shm-size 8g") == (
        'docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD":/work '
        "-v dsk-cache:/home/dsk/.cache --shm-size 8g dsk:v1 run 'my scan.pdf' -o out"
    )


def test_one_volume_takes_the_place_of_the_other(image: pytest.MonkeyPatch) -> None:
    image.setattr("sys.argv", ["dsk", "serve"])
    command = own_image.advice("", own_image.OWN_CACHE)
    assert command.count("/home/dsk/.cache") == 1
    assert 'dsk-cache-"$(id -u)":' in command


def test_an_image_for_the_cpu_asks_for_no_gpu_and_podman_in_its_own_words(
    image: pytest.MonkeyPatch,
) -> None:
    image.setattr(own_image, "container_kind", lambda: "podman")
    assert own_image.advice("") == "podman run --rm --device nvidia.com/gpu=all dsk:v1 verify"
    image.delenv("NVIDIA_DISABLE_REQUIRE")
    assert own_image.advice("") == "podman run --rm dsk:v1 verify"


def test_a_pod_is_told_what_its_manifest_lacks(image: pytest.MonkeyPatch) -> None:
    image.setattr(own_image, "container_kind", lambda: "kubernetes")
    assert own_image.advice("usual", kubernetes="a volume") == "a volume"
    assert own_image.advice("usual") == "usual"
    assert fetch_command("deepseek-ocr") == "dsk model fetch"


def test_the_model_is_fetched_into_the_volume_by_a_container_with_the_hub(
    image: pytest.MonkeyPatch,
) -> None:
    assert fetch_command("deepseek-ocr") == (
        "docker run --rm -v dsk-cache:/home/dsk/.cache -e HF_HUB_OFFLINE=0 dsk:v1 model fetch"
    )


def test_another_program_is_started_in_place_of_dsk(image: pytest.MonkeyPatch) -> None:
    around = own_image.around()
    assert around
    command = around.program(["bash", "-c", "ls /"])
    assert command == "docker run --rm -it --entrypoint bash dsk:v1 -c 'ls /'"


def test_a_folder_that_is_not_below_the_working_one_needs_a_mount() -> None:
    assert own_image.mount_of(Path("scans")) == ()
    assert own_image.mount_of(Path("/data/in")) == ("-v FOLDER:/data/in:ro",)

"""Docker as its own program tells it: a program of that name that answers, hangs or babbles."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsk.host.probes import containers

INFO = {
    "ServerVersion": "28.2.2",
    "Runtimes": {"runc": {}, "nvidia": {}},
    "ClientInfo": {"Plugins": [{"Name": "buildx", "Version": "v0.24.0"}]},
}
Program = Callable[..., Path]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a docker on PATH: what it does for info, image and run, as shell; it notes its calls."""

    def write(*, info: str, image: str = "true", run: str = "true") -> Path:
        called = tmp_path / "called"
        cases = f"info) {info};;\nimage) {image};;\nrun) {run};;\nrm) true;;"
        script = f'#!/bin/sh\necho "$@" >> {called}\ncase $1 in\n{cases}\nesac\n'
        program = tmp_path / "bin" / "docker"
        program.parent.mkdir()
        program.write_text(script)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return called

    return write


def saying(told: object) -> str:
    return f"echo '{json.dumps(told)}'"


def test_engine_plugin_and_runtime_are_told_and_a_container_is_started(docker: Program) -> None:
    called = docker(info=saying(INFO), image="echo other:1; echo dsk:v0")
    found = containers.look()
    assert (found.engine, found.buildx, found.nvidia_runtime) == ("28.2.2", "0.24.0", True)
    assert found.started
    assert found.started.problem == ""
    run = next(line for line in called.read_text().splitlines() if line.startswith("run "))
    assert "--rm --pull=never --network=none" in run
    assert run.endswith("--entrypoint=/bin/true dsk:v0")


def test_without_an_image_it_is_said_that_nothing_was_tried(docker: Program) -> None:
    called = docker(info=saying(INFO), image="echo '<none>:<none>'")
    found = containers.look()
    assert found.started is None
    assert "no image" in found.not_tried
    assert "run " not in called.read_text()


def test_why_a_container_did_not_start_is_told_without_the_image_s_name(docker: Program) -> None:
    why = "echo 'Error response from daemon: secret:1: OCI runtime create failed' >&2; exit 125"
    docker(info=saying(INFO), image="echo secret:1", run=why)
    started = containers.look().started
    assert started
    assert started.problem == "Error response from daemon: the image: OCI runtime create failed"


@pytest.mark.parametrize("hanging", ["info", "image", "run"])
def test_a_docker_that_hangs_is_told_in_time(hanging: str, docker: Program) -> None:
    does = {"info": saying(INFO), "image": "echo dsk:1", "run": "true"} | {hanging: "exec sleep 60"}
    called = docker(**does)
    begun = time.monotonic()
    found = containers.look(seconds=0.5)
    assert time.monotonic() - begun < 5
    if hanging == "info":
        assert found.problem == "no answer in 0.5 s"
    elif hanging == "image":
        assert found.started is None
    else:
        assert found.started
        assert found.started.problem == "no container in 0.5 s"
        assert called.read_text().splitlines()[-1].startswith("rm --force dsk-doctor-")


@pytest.mark.parametrize(
    "babble", ["echo", "echo '{'", "echo '[]'", "echo null", "printf '\\377\\376'", "exit 1"]
)
def test_an_engine_that_babbles_has_a_problem(babble: str, docker: Program) -> None:
    docker(info=babble)
    found = containers.look()
    assert found.client
    assert not found.engine
    assert found.problem


def test_an_engine_that_is_not_there_leaves_the_plugin_and_the_reason(docker: Program) -> None:
    errors = ["Cannot connect to the Docker daemon at unix:///var/run/docker.sock."]
    docker(info=saying({**INFO, "ServerVersion": None, "ServerErrors": errors}))
    found = containers.look()
    assert (found.engine, found.buildx, found.not_tried) == ("", "0.24.0", "no engine")
    assert found.problem == errors[0]


def test_without_a_docker_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert containers.look().client is False

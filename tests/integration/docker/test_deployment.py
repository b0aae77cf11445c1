"""Compose and bake as their own programs read them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from dsk import paths
from dsk.matrix import load_matrix
from dsk.matrix.select import unmet_gpu_minimums

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


def read_by(*command: str) -> Any:
    done = subprocess.run(
        ["docker", *command], cwd=paths.CHECKOUT, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def test_bake_builds_every_card_on_every_stack_that_fits_it_and_the_cpus() -> None:
    matrix = load_matrix()
    wanted = {
        f"{gpu.id}-{stack.id}"
        for gpu in matrix.gpus.values()
        for stack in matrix.stacks.values()
        if not unmet_gpu_minimums(stack, gpu)
    } | {"cpu", "cpu-v0"}
    targets = read_by("buildx", "bake", "--print")["target"]
    assert set(targets) == wanted
    for target in targets.values():
        assert (paths.CHECKOUT / target["dockerfile"]).is_file()
        assert target["target"] == "image"
    selftest = read_by("buildx", "bake", "--print", "cpu-selftest")["target"]["cpu-selftest"]
    assert (selftest["target"], selftest.get("tags")) == ("selftest", None)


def test_compose_serves_the_recipes_card_and_on_request_the_fallback() -> None:
    usual = read_by("compose", "config", "--format", "json")["services"]
    assert list(usual) == ["server"]
    server = usual["server"]
    assert server["image"] == "dsk:rtx4090-v0"
    assert server["healthcheck"]["test"] == ["CMD", "python", "-m", "dsk.serving.health"]
    assert [volume["source"] for volume in server["volumes"]] == ["model"]
    assert {port["host_ip"] for port in server["ports"]} == {"127.0.0.1"}
    both = read_by("compose", "--profile", "fallback", "config", "--format", "json")["services"]
    fallback = load_matrix().fallback
    assert fallback
    assert both["fallback"]["image"].startswith(fallback.image)
    assert fallback.model in both["fallback"]["command"]


def test_buildkit_itself_has_nothing_to_say_of_any_dockerfile() -> None:
    told = subprocess.run(
        ["docker", "buildx", "build", "--help"], check=True, capture_output=True, text=True
    )
    if "--check" not in told.stdout:
        pytest.skip("this docker-buildx has no --check: 0.15 and later have")
    check = ["docker", "buildx", "bake", "--check"]
    # What an image stands on is looked up, which a machine without a registry cannot.
    check += ["--set=*.args.BASE=scratch", "--set=*.args.DEVEL=scratch"]
    done = subprocess.run(check, cwd=paths.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr

"""What tests of engines share: the stacks' environments, the test model, the real command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import pytest

from dsk import models
from dsk.doctor.check import CheckContext
from dsk.doctor.checks import system
from dsk.errors import EngineMissing
from dsk.eyechart import cache
from dsk.host import probes
from dsk.matrix import load_matrix
from dsk.package_index import uv_environment, uv_program
from dsk.runtime import environments

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix import Stack

ROOT = Path(__file__).resolve().parents[2]
BASE = "dsk-base:bookworm"


def left_out(reason: str) -> NoReturn:
    """Leave a test out on a user's machine; in CI, which is there to run the engines, fail it."""
    if os.environ.get("DSK_CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine that answers; where there is none the test is left out."""
    try:
        asked = ["docker", "version", "--format", "{{.Server.Version}}"]
        subprocess.run(asked, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        left_out(f"no Docker engine answers here: {error}")


class Builder(Protocol):
    """Runs `dsk build` on the base image that stands in for a registry's; its stdout."""

    def __call__(self, *arguments: str) -> str: ...


@pytest.fixture(scope="session")
def build(engine: None) -> Builder:
    """`dsk build` on the base image that ``.ci/docker`` makes; without it the test is left out."""
    asked = ["docker", "image", "inspect", BASE]
    if subprocess.run(asked, capture_output=True, check=False).returncode != 0:
        left_out(f"there is no {BASE} here: .ci/docker makes it")

    def build(*arguments: str) -> str:
        given = ["--base-image", BASE, "--network", "host", *arguments]
        done = subprocess.run(
            [sys.executable, "-m", "dsk", "build", *given],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=2400,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        return done.stdout

    return build


class Reader(Protocol):
    """Runs `dsk run pdf` on a stack with a model's tiny test model; its exit code is returned."""

    def __call__(self, stack: str, *arguments: object, model: str = "") -> int: ...


@pytest.fixture(scope="session")
def usable() -> Callable[[str], Stack]:
    """A stack whose environment is there, made from its lock where it was not.

    Where this machine cannot have it (no network, C libraries too old), the test is skipped, with
    that reason; with ``DSK_CI`` set it fails.
    """

    def usable(stack_id: str) -> Stack:
        stack = load_matrix().stack(stack_id)
        model = load_matrix().models["deepseek-ocr"]
        context = CheckContext(facts=probes.gather(), stack=stack, lock_sha256="", model=model)
        verdict = system.libraries(context)
        if verdict.status == "error":
            left_out(f"stack {stack_id} cannot run here: {verdict.summary}")
        try:
            environments.create(stack, progress=lambda *_: None)
        except EngineMissing as missing:
            left_out(f"stack {stack_id} cannot be installed here: {missing}")
        return stack

    return usable


@pytest.fixture(scope="session")
def chromium() -> str:
    """A headless browser: Debian's package ``chromium``, or what else goes by its names."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), "")
    return found or left_out("there is no chromium: apt-get install chromium")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this project, built by hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [uv_program(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, env=uv_environment())
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def reader(usable: Callable[[str], Stack]) -> Reader:
    """`dsk run pdf`, with the test model made where it is not there yet."""

    def read(stack: str, *arguments: object, model: str = "") -> int:
        recipe = cache.tiny_model(models.profile(model) if model else None)
        folder = cache.cached(usable(stack), recipe, progress=lambda _: None)
        chosen = ["--model", folder, "--stack", stack]
        command = [sys.executable, "-m", "dsk", "run", "pdf", *arguments, *chosen]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800
        )
        print(done.stdout, done.stderr)
        return done.returncode

    return read

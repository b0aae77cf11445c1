"""What engine tests share: a stack's environment, the test model, and the real command."""

from __future__ import annotations

import subprocess
import sys
from typing import Protocol

import pytest

from dsk.compat import load_matrix
from dsk.errors import EngineMissing
from dsk.eyechart import make
from dsk.runtime import environments


class Reader(Protocol):
    """Runs `dsk run pdf` on a stack with the tiny test model; its exit code is returned."""

    def __call__(self, stack: str, *arguments: object) -> int: ...


@pytest.fixture(scope="session")
def cpu_environment() -> environments.Environment:
    """The `cpu` stack's environment, made from its lock where it is not there yet."""
    stack = load_matrix().stack("cpu")
    try:
        return environments.create(stack, progress=lambda *_: None)
    except EngineMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def reader(cpu_environment: environments.Environment) -> Reader:
    """`dsk run pdf`, with the test model made where it is not there yet."""
    if not make.is_whole(make.cached()):
        stack = load_matrix().stack("cpu")
        make.make(make.cached(), stack, progress=lambda _: None)

    def read(stack: str, *arguments: object) -> int:
        model = ["--model", make.cached(), "--stack", stack]
        command = [sys.executable, "-m", "dsk", "run", "pdf", *arguments, *model]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800
        )
        print(done.stdout, done.stderr)
        return done.returncode

    return read

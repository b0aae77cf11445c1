"""Options, profiles and fixtures that every test may use."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tests.fake_server import Fake, fake_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

ROOT = Path(__file__).resolve().parents[1]
# Characters of a parameter that is a part of its test's name.
LONGEST_ID = 80

# No example fails for being slow: the machine may be busy. In CI the examples are the same in every
# run, so that a change is not blamed for what another seed finds; locally each run tries new ones.
settings.register_profile("dsk", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("DSK_CI") else "dsk")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what is rendered over the golden files, instead of comparing",
    )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a parameter of much text by its length and hash.

    pytest makes its text a part of the test's name, which workers then send to each other: with the
    pictures of 40 MB that some tests take, that was gigabytes.
    """
    if not isinstance(val, (str, bytes)) or len(val) <= LONGEST_ID:
        return None
    content = val if isinstance(val, bytes) else val.encode("utf-8", "surrogatepass")
    return f"{argname}-{len(val)}-{hashlib.sha256(content).hexdigest()[:8]}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None]:
    """Say how to run everything, last of all, after a run of the tests that `testpaths` names."""
    yield
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        terminalreporter.write_line(
            "These tests need no Docker and no download. All others too, in about an hour: "
            "just test-all, or .venv/bin/pytest tests"
        )


@pytest.fixture(scope="session", autouse=True)
def sigint_at_its_default() -> Iterator[None]:
    """Give SIGINT its default effect on us and all we start.

    A shell without job control starts its background jobs with SIGINT ignored, and programs
    inherit that: Ctrl-C would reach none of those that tests send it to.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def matrix_folder(tmp_path: Path) -> Path:
    """A copy of the matrix, for a test to spoil."""
    return shutil.copytree(ROOT / "compat", tmp_path / "compat")


@pytest.fixture
def fake() -> Iterator[Callable[..., Fake]]:
    """Starts a small OpenAI-compatible server on this machine that does as a test tells it."""
    with fake_servers() as start:
        yield start

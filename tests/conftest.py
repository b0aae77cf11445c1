"""Options and fixtures that every test may use."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fake_server import Fake, fake_servers

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what is rendered over the golden files, instead of comparing",
    )


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

"""A small OpenAI-compatible server on this machine that does as a test tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fake_server import fake_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fake_server import Fake


@pytest.fixture(scope="module")
def fake() -> Iterator[Callable[..., Fake]]:
    """Starts such a server."""
    with fake_servers() as start:
        yield start

"""The image of stack cpu, built twice from nothing by a real engine: the same to the bit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Builder

pytestmark = [pytest.mark.docker, pytest.mark.network]


def test_two_builds_without_cache_have_one_digest(build: Builder) -> None:
    told = json.loads(build("--stack", "cpu", "--verify-reproducible", "--json"))
    assert told["digest"].startswith("sha256:")

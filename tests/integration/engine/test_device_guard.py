"""The guard for Model Runner V2, which no CPU takes, in vLLM's own interface and loader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine


def test_it_bans_what_the_rescanning_rule_bans_and_each_runner_is_given_its_own(
    run_in: Callable[..., str],
) -> None:
    """The program compares each row of logits; slots, lists and drafts change hands in it."""
    found = json.loads(run_in("cpu", "device_guard").splitlines()[-1])
    assert found["rows"] > 5000
    assert found["bans"] > 1000
    assert found["classes"][0] == "DeviceGuard"
    assert found["classes"][-1] == "HostGuard"

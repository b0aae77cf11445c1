"""The tower in parts: Qwen2 as an encoder, pictures encoded together, no wait for the device."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dsk import models

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", params=["cpu-v0", "cpu"])
def found(request: pytest.FixtureRequest, run_in: Callable[..., str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run_in(request.param, "query_encoder").splitlines()[-1])
    return answer


def test_queries_gather_features_as_the_sums_written_out(found: dict[str, Any]) -> None:
    assert len(found["away"]) == 2
    assert max(found["away"].values()) < 1e-4


@pytest.mark.parametrize("model", models.profiles())
def test_images_that_are_encoded_together_are_as_those_alone(
    found: dict[str, Any], model: str
) -> None:
    assert found["towers"][model]["away"] < 1e-5
    assert found["towers"][model]["size"] > 0.01


@pytest.mark.parametrize("model", models.profiles())
def test_the_host_waits_for_no_result_of_the_device(found: dict[str, Any], model: str) -> None:
    """VLLM's own towers and the published ones do, for each page: ``sum(pixels).item()``."""
    assert found["waits of a control"] == 1
    assert found["towers"][model]["waits"] == 0

"""The V1 engine profiles memory with the page that takes most, and no pass takes more later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dsk import models

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine

MOST = {"deepseek-ocr": 933, "deepseek-ocr-2": 1121, "unlimited-ocr": 3793}


@pytest.fixture(scope="module")
def found(run_in: Callable[..., str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run_in("cpu", "v1_profiling").splitlines()[-1])
    return answer


@pytest.mark.parametrize("model", models.profiles())
def test_memory_is_profiled_with_the_most_tokens(found: dict[str, Any], model: str) -> None:
    """VLLM's own DeepSeek-OCR-2 is profiled with 833 tokens where a page takes up to 1121."""
    assert found["native"] == 833
    assert found[model]["tokens"] == models.profile(model).max_page_tokens == MOST[model]


@pytest.mark.parametrize("model", models.profiles())
def test_no_pass_of_the_towers_is_larger_than_the_profiled_one(
    found: dict[str, Any], model: str
) -> None:
    for step, passed in found[model]["passes"].items():
        # Less than one picture more: a pass holds whole ones.
        assert passed["allowed"] - passed["seen"] < passed["picture"], step
        assert passed["allowed"] >= passed["picture"], step


@pytest.mark.parametrize("model", models.profiles())
def test_vllm_finds_a_class_named_after_each_architecture(
    found: dict[str, Any], model: str
) -> None:
    record = models.profile(model).record
    assert found[model]["class"] == record.architecture
    assert found[model]["placeholder"] == record.image_token

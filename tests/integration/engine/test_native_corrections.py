"""Corrections of vLLM's own classes, on the real ones: each fault is there, then gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dsk import models
from dsk.vllm_plugin.chat_template import CHAT_TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine

PROFILES = {profile.record.architecture: profile for profile in models.profiles().values()}


@pytest.fixture(scope="module")
def measured(run_in: Callable[..., str]) -> dict[str, Any]:
    lines = run_in("cpu", "native_corrections").splitlines()
    measured: dict[str, Any] = json.loads(lines[-1])
    return measured


def test_every_model_is_profiled_with_the_page_of_most_tokens(measured: dict[str, Any]) -> None:
    before, after = measured["before"]["profiled"], measured["after"]["profiled"]
    assert sorted(before.values()) == [693, 833, 3553]
    assert after == {name: profile.max_page_tokens for name, profile in PROFILES.items()}


def test_every_model_gets_the_familys_template_and_no_other_model_does(
    measured: dict[str, Any],
) -> None:
    before, after = measured["before"]["templates"], measured["after"]["templates"]
    assert all("<|User|>" in text for text in before.values())
    for name in PROFILES:
        assert after.pop(name) == CHAT_TEMPLATE
    assert all("<|User|>" in text for text in after.values())


def test_a_window_over_generated_tokens_gets_an_attention_that_keeps_it(
    measured: dict[str, Any],
) -> None:
    before, after = measured["before"]["attention"], measured["after"]["attention"]
    assert before["window"] == before["plain"] == after["plain"]
    assert after["window"].startswith("dsk.")


def test_attention_with_a_window_is_that_of_a_plain_reference(run_in: Callable[..., str]) -> None:
    worst = json.loads(run_in("cpu", "rswa_attention").splitlines()[-1])["worst"]
    assert worst < 1e-5

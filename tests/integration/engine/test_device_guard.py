"""The guard for Model Runner V2, which no CPU takes by itself, and that runner with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pymupdf
import pytest
from tests.unit.vllm_plugin.guard.test_ngram import rescanned

from dsk.eyechart import cache, layout, page
from dsk.vllm_plugin.guard.ngram import GuardSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.matrix import Stack

pytestmark = pytest.mark.engine

SIDE = 16
SMALL = GuardSettings(ngram_size=3, window_size=30)
TOKENS = 28


def test_it_bans_what_the_rescanning_rule_bans_and_each_runner_is_given_its_own(
    run_in: Callable[..., str],
) -> None:
    """The program compares each row of logits; slots, lists and drafts change hands in it."""
    found = json.loads(run_in("cpu", "device_guard").splitlines()[-1])
    assert found["rows"] > 5000
    assert found["bans"] > 1000
    assert found["classes"][0] == "DeviceGuard"
    assert found["classes"][-1] == "HostGuard"


def test_the_runner_reads_with_our_model_scheduler_and_guard(
    run_in: Callable[..., str], usable: Callable[[str], Stack], tmp_path: Path
) -> None:
    """Each token of the test model hangs on its cell: a ban changes that token and no other."""
    checkpoint = cache.cached(usable("cpu"), cache.tiny_model(), progress=lambda _: None)
    drawn = pymupdf.open("pdf", page.draw(layout.charts("round and round\n" * 3, SIDE), SIDE))
    zoom = 640 / drawn[0].rect.width
    drawn[0].get_pixmap(matrix=pymupdf.Matrix(zoom, zoom)).save(tmp_path / "loop.png")
    given = (checkpoint, tmp_path, SMALL.ngram_size, SMALL.window_size, TOKENS)
    plain, guarded = json.loads(run_in("cpu", "v2_runner", *given).splitlines()[-1])
    assert len(plain) == len(guarded) == TOKENS
    changed = 0
    for place, (wanted, token) in enumerate(zip(plain, guarded, strict=True)):
        banned = rescanned(guarded[:place], SMALL)
        assert token not in banned
        assert token == wanted or wanted in banned
        changed += token != wanted
    assert changed >= 3

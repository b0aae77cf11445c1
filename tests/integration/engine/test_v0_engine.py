"""Our model on vLLM 0.8's V0 engine: requests of every kind, MHA and MLA."""

from __future__ import annotations

import itertools
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from dsk import models

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine


CASES = {
    "mha": ("deepseek-ocr", "tiny", "mha", 73, 933),
    "mla": ("deepseek-ocr", "tiny", "mla", 73, 933),
    "queries": ("deepseek-ocr-2", "base", "mha", 257, 1121),
}
"""Model, mode, attention of the decoder, tokens of an image in that mode, most tokens of any."""


@pytest.fixture(scope="module", params=CASES)
def said(
    request: pytest.FixtureRequest,
    run_in: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    model_id, mode, kind, tokens, most = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    run_in("cpu-v0", "seeded_checkpoint", folder, model_id, kind)
    printed = run_in("cpu-v0", "v0_requests", folder, model_id, mode)
    shutil.rmtree(folder)  # a gigabyte
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer | {"kind": kind, "tokens": tokens, "most": most, "model": model_id}


def test_it_is_the_v0_engine(said: dict[str, Any]) -> None:
    assert said["engine"] == "vllm.engine.llm_engine"


def test_different_prompts_and_images_in_one_batch_answer_as_they_do_alone(
    said: dict[str, Any],
) -> None:
    assert said["together"] == said["alone"]


def test_an_image_that_was_cut_before_is_the_same_image(said: dict[str, Any]) -> None:
    assert said["together"]["ready"] == said["together"]["one"]


def test_the_image_matters_and_so_does_the_prompt(said: dict[str, Any]) -> None:
    answers = [said["together"][name][1] for name in ("one", "other prompt", "other image")]
    assert len({tuple(answer) for answer in answers}) == 3


def test_a_prompt_holds_each_images_tokens(said: dict[str, Any]) -> None:
    lengths = {name: length for name, (length, _) in said["together"].items()}
    # One for the start, one a byte of the words.
    assert lengths["one"] == 1 + said["tokens"] + len("\nFree OCR.")
    assert lengths["two images"] == 1 + 2 * said["tokens"] + len(" and ")
    assert lengths["no image"] == 1 + len("words")


def test_the_guard_keeps_pairs_from_repeating(said: dict[str, Any]) -> None:
    for _, tokens in said["guarded"].values():
        pairs = list(itertools.pairwise(tokens))
        assert len(pairs) == len(set(pairs))


def test_what_cannot_be_an_image_and_a_prompt_without_its_place_are_refused(
    said: dict[str, Any],
) -> None:
    no_image, no_place = said["refused"]
    assert "an image is a str: give PIL images" in no_image
    assert no_place == "the prompt has 0 places for 1 images: write one <image> each"


def test_memory_is_profiled_with_the_most_tokens(said: dict[str, Any]) -> None:
    worst = models.profile(said["model"]).max_page_tokens
    assert said["profiled tokens"] == said["most"] == worst


def test_the_kv_cache_takes_what_the_planner_says(said: dict[str, Any]) -> None:
    layers, bytes_a_number = 2, 4
    numbers = {"mha": 2 * 10 * 128, "mla": 512 + 64}[said["kind"]]
    assert said["kv bytes a token"] == layers * numbers * bytes_a_number

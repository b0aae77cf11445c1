"""What a request to the engine holds: its modes, its placeholders, its pages' names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from dsk import models
from dsk.errors import UsageProblem
from dsk.models.base import Resolution, Views
from dsk.vllm_plugin.pages import (
    cache_keys,
    check_views,
    count_tokens,
    engine_mode,
    expand_placeholders,
    largest_page,
    mode_of_images,
    profile_of,
    requested_mode,
)

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile

PROFILE = models.profile("deepseek-ocr")
MODES = PROFILE.resolutions

PAGE = Image.new("RGB", (1191, 1684))


def test_the_engines_settings_come_before_the_checkpoints_own_mode() -> None:
    architectures = [PROFILE.record.architecture]
    tiny = SimpleNamespace(architectures=architectures, dsk_mode="tiny")
    assert engine_mode({"mode": "base"}, tiny) is MODES["base"]
    assert engine_mode(None, tiny) is MODES["tiny"]
    assert engine_mode({}, SimpleNamespace(architectures=architectures)) is MODES["gundam"]
    with pytest.raises(UsageProblem, match="unknown mode 'huge'"):
        engine_mode({"mode": "huge"}, tiny)


def test_a_request_may_name_its_mode_and_nothing_else() -> None:
    assert requested_mode(PROFILE, {}) is None
    assert requested_mode(PROFILE, {"mode": "small"}) is MODES["small"]
    with pytest.raises(ValueError, match="unknown mode 'huge': choose one of tiny, small"):
        requested_mode(PROFILE, {"mode": "huge"})
    with pytest.raises(ValueError, match="crop is set for a request"):
        requested_mode(PROFILE, {"mode": "tiny", "crop": True})


def test_several_images_are_not_cut_where_the_model_was_not_trained_so() -> None:
    unlimited = models.profile("unlimited-ocr")
    modes = unlimited.resolutions
    assert mode_of_images(unlimited, modes["gundam"], 1) is modes["gundam"]
    assert mode_of_images(unlimited, modes["gundam"], 2) is modes["base"]
    assert mode_of_images(unlimited, modes["small"], 2) is modes["small"]
    assert mode_of_images(PROFILE, MODES["gundam"], 2) is MODES["gundam"]


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_a_pages_tokens_follow_from_its_shapes_in_every_mode(mode: Resolution) -> None:
    page = PROFILE.prepare(PAGE, mode)
    check_views(PROFILE, page)
    assert count_tokens(PROFILE, page.view, page.tiles) == mode.tokens(mode.grid(*PAGE.size))
    worst = largest_page(mode)
    assert count_tokens(PROFILE, worst.view, worst.tiles) == mode.max_tokens


@pytest.mark.parametrize(
    ("view", "tiles"),
    [
        ((1000, 1000, 3), (0, 0, 640, 640, 3)),
        ((1344, 1344, 3), (0, 0, 640, 640, 3)),
        ((1024, 640, 3), (0, 0, 640, 640, 3)),
        ((1024, 1024, 4), (0, 0, 640, 640, 3)),
        ((1024, 1024, 3), (2, 1, 512, 512, 3)),
        ((1024, 1024, 3), (3, 3, 640, 640, 3)),
        ((1024, 1024, 3), (1, 1, 640, 640, 3)),
        ((0, 0, 3), (0, 0, 0, 0, 3)),
    ],
)
def test_shapes_that_no_mode_makes_are_refused(
    view: tuple[int, ...], tiles: tuple[int, ...]
) -> None:
    page = Views(view=np.zeros(view, np.uint8), tiles=np.zeros(tiles, np.uint8))
    with pytest.raises(ValueError, match="no mode has"):
        check_views(PROFILE, page)


@pytest.mark.parametrize("profile", models.profiles().values(), ids=models.profiles())
def test_each_models_own_pages_fit(profile: ModelProfile) -> None:
    for mode in profile.resolutions.values():
        check_views(profile, profile.prepare(PAGE, mode))
        check_views(profile, largest_page(mode))


def test_queries_are_for_the_views_of_a_mode_alone_where_positions_are_resized() -> None:
    queries = models.profile("deepseek-ocr-2")
    page = {side: blank_view(side, tile=queries.tile) for side in (512, 768, 960, 1024)}
    check_views(queries, page[1024])
    for side in (512, 768, 960):
        with pytest.raises(ValueError, match="no mode has"):
            check_views(queries, page[side])
    check_views(PROFILE, blank_view(960, tile=PROFILE.tile))


def blank_view(side: int, *, tile: int) -> Views:
    return Views(
        view=np.zeros((side, side, 3), np.uint8), tiles=np.zeros((0, 0, tile, tile, 3), np.uint8)
    )


def test_floats_are_refused() -> None:
    page = PROFILE.prepare(PAGE, MODES["tiny"])
    with pytest.raises(ValueError, match="no mode has"):
        check_views(PROFILE, Views(view=page.view.astype(np.float32), tiles=page.tiles))


def test_each_place_in_the_prompt_becomes_its_images_tokens() -> None:
    tokens, ranges = expand_placeholders(PROFILE, [0, 9, 5, 9, 9], 9, [2, 3, 1])
    assert tokens == [0, 9, 9, 5, 9, 9, 9, 9]
    assert ranges == [(1, 2), (4, 3), (7, 1)]
    assert expand_placeholders(PROFILE, [0, 5], 9, []) == ([0, 5], [])


@pytest.mark.parametrize("counts", [[], [1], [1, 1, 1]])
def test_places_and_images_must_be_as_many(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=f"2 places for {len(counts)} images"):
        expand_placeholders(PROFILE, [9, 9], 9, counts)


def test_no_two_pages_have_one_name_unless_the_request_says_so() -> None:
    page, other = PROFILE.prepare(PAGE, MODES["tiny"]), PROFILE.prepare(PAGE, MODES["gundam"])
    assert len({*cache_keys([page, page], None), *cache_keys([page], None)}) == 3
    assert list(cache_keys([page, other], ["a", "a"])) == ["a-512-0x0", "a-1024-2x3"]


def test_a_checkpoint_is_known_by_its_architecture_or_by_all_else_and_any_other_refused() -> None:
    other = SimpleNamespace(architectures=["LlamaForCausalLM", "DeepseekOCRForCausalLM"])
    assert profile_of(other) is PROFILE
    assert profile_of(SimpleNamespace(model_type="unlimited-ocr")).id == "unlimited-ocr"
    with pytest.raises(UsageProblem, match="names no architecture"):
        profile_of(SimpleNamespace(architectures=None, model_type="deepseek_vl_v2"))

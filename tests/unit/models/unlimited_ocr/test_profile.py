"""Unlimited-OCR's numbers: DeepSeek-OCR's vision, more tiles, a longer context."""

from __future__ import annotations

import pytest

from dsk import models

PROFILE = models.profile("unlimited-ocr")
GUNDAM = PROFILE.resolutions["gundam"]


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        ("gundam", (640, 640), 273),
        ("gundam", (1190, 1684), 903),
        ("gundam", (1684, 1190), 1503),
        ("gundam", (1224, 1584), 1513),
        ("gundam", (1920, 1080), 3113),
        ("gundam", (200, 10000), 3793),
        ("base", (1684, 1190), 273),
    ],
)
def test_an_image_takes_the_tokens_of_up_to_32_tiles(
    name: str, size: tuple[int, int], tokens: int
) -> None:
    resolution = PROFILE.resolutions[name]
    assert resolution.tokens(resolution.grid(*size)) == tokens


def test_no_image_takes_more_than_3793_tokens() -> None:
    assert PROFILE.max_page_tokens == 3793
    assert PROFILE.worst_page == (640, 32 * 640)
    assert len(PROFILE.grids) == sum(
        1 for x in range(1, 33) for y in range(1, 33) if 2 <= x * y <= 32
    )


def test_its_vision_side_is_that_of_deepseek_ocr_but_for_the_tiles() -> None:
    other = models.profile("deepseek-ocr").record
    assert PROFILE.record.vision.model_copy(update={"max_tiles": 6}) == other.vision
    assert PROFILE.record.resolutions == other.resolutions


def test_its_decoder_is_that_of_deepseek_ocr_with_a_window_and_more_positions() -> None:
    language, other = PROFILE.record.language, models.profile("deepseek-ocr").record.language
    assert (language.rswa_window, language.max_positions) == (128, 32_768)
    assert (other.rswa_window, other.max_positions) == (None, 8192)
    # Its configuration names a size of values, which attention without MLA ignores.
    own = {"rswa_window": None, "max_positions": 8192, "v_head_dim": 0}
    assert language.model_copy(update=own) == other


def test_its_guard_is_the_published_one_and_its_script_has_no_files_to_reproduce() -> None:
    guards = PROFILE.record.guards
    assert (guards.default.size, guards.default.window) == (35, 128)
    assert guards.official is None


def test_its_prompts_have_no_line_break_after_the_image_and_ones_own_have_none_either() -> None:
    assert PROFILE.prompt_for("markdown") == "<image>document parsing."
    assert PROFILE.prompt_for("Read it.") == "<image>Read it."


def test_there_is_no_prompt_without_boxes_to_try_again_with() -> None:
    assert "ungrounded" not in PROFILE.record.retry_steps
    for prompt in PROFILE.record.prompts.values():
        assert PROFILE.ungrounded(prompt) == prompt

"""Rules that models share: prompts by name and in words, and what a page is tried again with."""

import pytest

from dsk import models
from dsk.errors import UsageProblem

PROFILE = models.profile("deepseek-ocr")


def test_a_name_stands_for_its_prompt() -> None:
    free = PROFILE.record.prompts["free"]
    assert PROFILE.prompt_for("free") == free == "<image>\nFree OCR."


def test_words_of_ones_own_come_behind_the_image() -> None:
    assert PROFILE.prompt_for("Read the table.") == "<image>\nRead the table."


def test_a_prompt_that_has_its_image_is_left_as_it_is() -> None:
    assert PROFILE.prompt_for("<image>Read it.") == "<image>Read it."


@pytest.mark.parametrize("text", ["", "  ", "markdwon", "<image> or <image>?"])
def test_a_misspelt_name_is_not_sent_as_a_prompt(text: str) -> None:
    with pytest.raises(UsageProblem):
        PROFILE.prompt_for(text)


def test_a_prompt_that_asks_for_boxes_is_tried_again_without_them() -> None:
    prompts = PROFILE.record.prompts
    assert PROFILE.ungrounded(prompts["markdown"]) == prompts["free"]
    assert PROFILE.ungrounded(prompts["figure"]) == prompts["figure"]


def test_a_page_is_tried_again_in_another_resolution() -> None:
    others = {name: PROFILE.retry_resolution(name).name for name in PROFILE.resolutions}
    assert others == {
        "tiny": "gundam",
        "small": "gundam",
        "base": "gundam",
        "large": "gundam",
        "gundam": "base",
    }


def test_the_towers_see_views_and_tiles() -> None:
    assert PROFILE.picture_sides == {512, 640, 1024, 1280}
    assert models.profile("deepseek-ocr-2").picture_sides == {768, 1024}


def test_the_largest_view_and_the_tile_are_those_of_any_resolution() -> None:
    assert PROFILE.largest_view == 1280
    assert {resolution.tile for resolution in PROFILE.resolutions.values()} == {0, PROFILE.tile}

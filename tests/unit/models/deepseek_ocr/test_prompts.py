"""Prompts by name, and in words."""

import pytest

from dsk.errors import UsageProblem
from dsk.models.deepseek_ocr.prompts import NAMED, prompt_for


def test_a_name_stands_for_its_prompt() -> None:
    assert prompt_for("free") == NAMED["free"] == "<image>\nFree OCR."


def test_words_of_ones_own_come_behind_the_image() -> None:
    assert prompt_for("Read the table.") == "<image>\nRead the table."


def test_a_prompt_that_has_its_image_is_left_as_it_is() -> None:
    assert prompt_for("<image>Read it.") == "<image>Read it."


@pytest.mark.parametrize("text", ["", "  ", "markdwon", "<image> or <image>?"])
def test_a_misspelt_name_is_not_sent_as_a_prompt(text: str) -> None:
    with pytest.raises(UsageProblem):
        prompt_for(text)

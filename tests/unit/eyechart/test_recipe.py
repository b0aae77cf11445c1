"""Recipes: the sizes of a test model, and the charts that fit one of its views."""

import pytest

from dsk import models
from dsk.errors import UsageProblem
from dsk.eyechart import recipe
from dsk.eyechart.recipe import Recipe


def test_a_chart_fills_the_default_view_unless_another_is_named() -> None:
    assert [recipe.chart_side(profile) for profile in models.profiles().values()] == [16, 16, 16]
    assert recipe.chart_side(models.profile("deepseek-ocr"), 8) == 8


def test_a_chart_that_fits_no_view_is_refused_with_those_that_do() -> None:
    with pytest.raises(UsageProblem) as refused:
        recipe.chart_side(models.profile("deepseek-ocr-2"), 8)
    assert "has no resolution with 8 cells in a row" in str(refused.value)
    assert "16 (" in refused.value.do


def test_a_full_test_model_has_the_numbers_of_its_models_tokens() -> None:
    for profile in models.profiles().values():
        full = Recipe(profile=profile, size="full", side=16)
        assert profile.record.tokens.items() <= full.words.items()
        assert full.sizes.vocabulary == profile.record.language.vocabulary

"""The model of a checkpoint, with and without architectures in its ``config.json``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from dsk import models
from dsk.errors import UsageProblem
from dsk.eyechart import configuration as eyechart
from dsk.eyechart.recipe import Recipe
from dsk.models.configuration import profile_of

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile

PROFILES = list(models.profiles().values())


def written(profile: ModelProfile) -> dict[str, Any]:
    """All of a configuration but what names the model's class."""
    configuration = eyechart.model(Recipe(profile=profile, side=16))
    del configuration["architectures"]
    return configuration


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_a_checkpoint_is_known_by_its_class_or_without_one_by_its_dimensions(
    profile: ModelProfile,
) -> None:
    name = profile.record.architecture
    rest = written(profile)
    assert profile_of({"architectures": ["Some", name]}) is profile
    assert profile_of({"auto_map": {"AutoModel": f"modeling_any.{name}"}}) is profile
    assert profile_of(rest) is profile
    for lost in ("model_type", "vision_config", "projector_config"):
        assert profile_of({key: value for key, value in rest.items() if key != lost}) is profile


def test_one_that_fits_several_models_or_none_is_refused_with_what_settles_it() -> None:
    settles = re.escape('add "architectures" to it, one of ["DeepseekOCRForCausalLM"]')
    for configuration, fits in (
        ({}, "deepseek-ocr and deepseek-ocr-2 and unlimited-ocr"),
        ({"model_type": "deepseek_vl_v2"}, "deepseek-ocr and deepseek-ocr-2"),
        ({"model_type": "llama"}, "none"),
        ({"architectures": [], "auto_map": {"AutoModel": 3}, "model_type": 7}, "none"),
        (written(PROFILES[1]) | {"projector_config": {"input_dim": 2048}}, "none"),
    ):
        with pytest.raises(UsageProblem, match=f"fits {fits}.*{settles}"):
            profile_of(configuration)


def test_one_that_names_another_class_is_refused_whatever_else_it_has() -> None:
    with pytest.raises(UsageProblem, match="has the architecture 'LlamaForCausalLM'"):
        profile_of(written(PROFILES[0]) | {"architectures": ["LlamaForCausalLM"]})

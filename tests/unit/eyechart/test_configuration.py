"""The configuration of each test model has the published one's keys and the model's sizes."""

import pytest

from dsk import models
from dsk.eyechart import configuration
from dsk.eyechart.recipe import Recipe
from dsk.models.base import ModelProfile

PROFILES = models.profiles()


@pytest.fixture(params=list(PROFILES.values()), ids=list(PROFILES))
def profile(request: pytest.FixtureRequest) -> ModelProfile:
    found: ModelProfile = request.param
    return found


def test_a_configuration_leads_back_to_its_model(profile: ModelProfile) -> None:
    made = configuration.model(Recipe(profile=profile, side=16))
    assert [models.for_architecture(name) for name in made["architectures"]] == [profile]
    assert made["model_type"] == profile.record.model_type


def test_the_full_sizes_are_the_models_own(profile: ModelProfile) -> None:
    made = configuration.model(Recipe(profile=profile, side=16, size="full"))
    language, record = made["language_config"], profile.record.language
    found = (language["num_hidden_layers"], language["n_routed_experts"], language["vocab_size"])
    assert found == (record.layers, record.routed_experts, record.vocabulary)
    assert language["max_position_embeddings"] == record.max_positions


def test_the_projector_reads_what_the_encoder_gives() -> None:
    read = {
        name: configuration.model(Recipe(profile=profile, side=16))["projector_config"]["input_dim"]
        for name, profile in PROFILES.items()
    }
    assert read == {"deepseek-ocr": 2048, "deepseek-ocr-2": 896, "unlimited-ocr": 2048}


def test_each_encoder_has_an_entry_under_its_published_name() -> None:
    entries = {
        name: configuration.model(Recipe(profile=profile, side=16))["vision_config"]["width"]
        for name, profile in PROFILES.items()
    }
    assert {name: sorted(entry) for name, entry in entries.items()} == {
        "deepseek-ocr": ["clip-l-14-224", "sam_vit_b"],
        "deepseek-ocr-2": ["qwen2-0-5b", "sam_vit_b"],
        "unlimited-ocr": ["clip-l-14-224", "sam_vit_b"],
    }


def test_a_window_over_generated_tokens_is_named_for_each_reader_of_it() -> None:
    windows = {}
    for name, profile in PROFILES.items():
        made = configuration.model(Recipe(profile=profile, side=16))
        windows[name] = (
            made.get("rswa_window"),
            made["language_config"].get("sliding_window_size"),
        )
    assert windows == {
        "deepseek-ocr": (None, None),
        "deepseek-ocr-2": (None, None),
        "unlimited-ocr": (128, 128),
    }

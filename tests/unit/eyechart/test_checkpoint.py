"""The checkpoint's tensors have the models' own names, all of them and no others."""

import dataclasses
import hashlib

import pytest

from dsk import models
from dsk.eyechart import decoder, qwen2, vision
from dsk.eyechart.recipe import Recipe, Sizes

# sha256 of the sorted names in the published model.safetensors.index.json, one a line, less
# model.vision_model.embeddings.position_ids, a buffer that vLLM's loader refuses. Of Unlimited-OCR
# no index was seen: vLLM gives DeepSeek-OCR's class its weights as they are.
PUBLISHED = {
    "deepseek-ocr": "c3bd0ecd3dacf3b8d6bc9a086ae866572e5653437df4ac7d4c4bb6da954331c9",
    "deepseek-ocr-2": "82f945d7251cf783a2bdbfc72c5ee8a1dbae4aa6e3cbd7340de0b9a9b4d7aade",
    "unlimited-ocr": "c3bd0ecd3dacf3b8d6bc9a086ae866572e5653437df4ac7d4c4bb6da954331c9",
}


class Narrow(Recipe):
    """A test model with the real model's counts; layers are one unit wide, since names matter."""

    @property
    def sizes(self) -> Sizes:
        """All layers and experts, one unit wide."""
        full, tiny = super().sizes, Recipe(profile=self.profile, side=self.side).sizes
        return dataclasses.replace(
            tiny, layers=full.layers, experts=full.experts, dense_width=1, expert_width=1
        )


def narrow(model: str) -> Recipe:
    profile = models.profile(model)
    towers = profile.record.vision
    if towers.qwen2:
        encoder = towers.qwen2.model_copy(update={"intermediate_size": 1})
        towers = towers.model_copy(update={"qwen2": encoder})
        record = profile.record.model_copy(update={"vision": towers})
        profile = dataclasses.replace(profile, record=record)
    return Narrow(profile=profile, size="full", side=16)


def names(model: str) -> list[str]:
    recipe = narrow(model)
    towers = recipe.record.vision
    found = [name for name, _ in vision.sam_shapes(towers)]
    if towers.clip:
        found += [name for name, _ in vision.clip_shapes(towers.clip.width)]
    if towers.qwen2:
        readout = qwen2.readout(recipe)
        found += [name for name, _ in qwen2.tensors(recipe, *readout)]
    found += [name for name, _ in decoder.embeddings(recipe)] + [decoder.final_norm(recipe)[0]]
    found += ["model.projector.layers.weight", "model.projector.layers.bias"]
    for index in range(recipe.sizes.layers):
        found += [name for name, _ in decoder.layer(index, recipe)]
    return found


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_names_are_the_published_ones(model: str) -> None:
    found = "\n".join(sorted(names(model)))
    assert hashlib.sha256(found.encode()).hexdigest() == PUBLISHED[model]


@pytest.mark.parametrize("model", PUBLISHED)
def test_only_a_model_whose_rows_end_has_a_token_for_that(model: str) -> None:
    recipe = Recipe(profile=models.profile(model), side=16)
    row_ends = ["model.image_newline"] if recipe.record.vision.row_ends else []
    assert [name for name, _ in decoder.embeddings(recipe)] == [
        "model.embed_tokens.weight",
        "lm_head.weight",
        *row_ends,
        "model.view_seperator",
    ]

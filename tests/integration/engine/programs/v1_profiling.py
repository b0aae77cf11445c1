"""What vLLM's V1 engine profiles memory with, by model; prints one JSON object."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from vllm.model_executor.models import deepseek_ocr2

from dsk import models
from dsk.vllm_plugin.pages import count_tokens
from dsk.vllm_plugin.towers.sam import PATCH
from dsk.vllm_plugin.v1 import model as v1_model
from dsk.vllm_plugin.v1.processing import ViewsDummyInputs

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile

# Tokens of a step: vLLM's least and usual settings, and one page alone.
STEPS = (1, 2048, 8192, 16384)


def profiled(profile: ModelProfile) -> dict[str, Any]:
    dummy = object.__new__(ViewsDummyInputs)  # needs the profile alone
    dummy.info = SimpleNamespace(profile=profile)
    (page,) = dummy.get_dummy_mm_data(0, {"image": 1}, None)["image"]
    tokens = count_tokens(profile, page.view, page.tiles)
    built = getattr(v1_model, profile.record.architecture)
    return {
        "tokens": tokens,
        "class": built.__name__,
        "placeholder": built.get_placeholder_str("image", 1),
        "passes": {step: passes(profile, step, tokens) for step in STEPS},
    }


def passes(profile: ModelProfile, step: int, tokens: int) -> dict[str, int]:
    """Return the patches of the largest pass that is allowed, and of that of the profile run."""
    scheduler = SimpleNamespace(max_num_seqs=256, max_num_batched_tokens=step)
    allowed = v1_model.patches_per_pass(SimpleNamespace(scheduler_config=scheduler), profile)
    pages, mode = max(1, min(256, step // tokens)), profile.largest_resolution
    pictures = {mode.view: pages, profile.tile: pages * mode.max_tiles}
    seen = [
        min(count, max(1, allowed // (side // PATCH) ** 2)) * (side // PATCH) ** 2
        for side, count in pictures.items()
    ]
    return {"allowed": allowed, "seen": max(seen), "picture": (mode.view // PATCH) ** 2}


def native_tokens() -> int:
    info = object.__new__(deepseek_ocr2.DeepseekOCR2ProcessingInfo)
    size = info.get_image_size_with_most_features()
    count: int = info.get_num_image_tokens(image_width=size.width, image_height=size.height)
    return count


if __name__ == "__main__":
    found = {name: profiled(profile) for name, profile in models.profiles().items()}
    print(json.dumps(found | {"native": native_tokens()}))

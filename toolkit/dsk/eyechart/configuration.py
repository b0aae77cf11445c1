"""Configuration files of the test model, in the published ones' own keys, without remote code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsk.eyechart import decoder, tokenizer

if TYPE_CHECKING:
    from dsk.eyechart.recipe import Recipe
    from dsk.models.base import ModelProfile


def processor(profile: ModelProfile) -> dict[str, Any]:
    """Return the contents of processor_config.json: the keys that the models' processors read."""
    return {
        "add_special_token": False,
        "candidate_resolutions": _candidate_resolutions(profile),
        "downsample_ratio": 4,
        "ignore_id": -100,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_token": profile.record.image_token,
        "mask_prompt": False,
        "normalize": True,
        "pad_token": tokenizer.PAD,
        "patch_size": 16,
        "processor_class": "DeepseekVLV2Processor",
        "sft_format": "deepseek",
    }


def model(recipe: Recipe) -> dict[str, Any]:
    """Return the contents of config.json."""
    record, view = recipe.record, recipe.profile.default_resolution.view
    language = decoder.configuration(recipe)
    return {
        "architectures": [record.architecture],
        "candidate_resolutions": _candidate_resolutions(recipe.profile),
        "global_view_pos": "head",
        "language_config": {
            "architectures": ["DeepseekV2ForCausalLM"],
            "torch_dtype": record.dtype,
            **language,
        },
        "model_type": record.model_type,
        "projector_config": {
            "input_dim": record.vision.features,
            "model_type": "mlp_projector",
            "n_embed": record.language.hidden_size,
            "projector_type": "linear",
        },
        "tile_tag": "2D",
        "torch_dtype": record.dtype,
        "transformers_version": "4.46.3",  # of the published checkpoints
        "vision_config": {
            "image_size": view,
            "mlp_ratio": 3.7362,  # as in the published configurations
            "model_name": "deeplip_b_l",
            "model_type": "vision",
            "width": _encoder(recipe)
            | {
                "sam_vit_b": {
                    "downsample_channels": list(record.vision.downsample_channels),
                    "global_attn_indexes": [2, 5, 8, 11],
                    "heads": 12,
                    "layers": 12,
                    "width": 768,
                },
            },
        },
        **language,
    }


def _encoder(recipe: Recipe) -> dict[str, Any]:
    """Return the entry of the encoder that follows SAM."""
    towers = recipe.record.vision
    if towers.qwen2:
        return {"qwen2-0-5b": {"dim": towers.qwen2.hidden_size}}
    return {
        "clip-l-14-224": {
            "heads": 16,
            "image_size": 224,
            "layers": 24,
            "patch_size": 14,
            "width": towers.clip_width,
        }
    }


def _candidate_resolutions(profile: ModelProfile) -> list[list[int]]:
    return [[profile.default_resolution.view] * 2]

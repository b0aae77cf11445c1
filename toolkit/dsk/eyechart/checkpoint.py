"""Write the test model: a checkpoint that any implementation of DeepSeek-OCR can load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors.torch import save_file

from dsk.errors import UsageProblem
from dsk.eyechart import decoder, readout, tokenizer, vision
from dsk.eyechart.architecture import PROFILE, RECORD
from dsk.files import umask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dsk.eyechart.decoder import Sizes, Tensor
    from dsk.eyechart.readout import Progress

SIZES: Final = {"tiny": decoder.TINY, "full": decoder.FULL}


def write(folder: Path, *, size: str, side: int, seed: int, progress: Progress) -> None:
    """Write a test model into ``folder``; the same size, side and seed give the same bytes.

    Args:
        folder: created if it does not exist.
        size: "tiny" (2 layers, 0.9 GB) or "full" (the model's own, 6.7 GB).
        side: cells in a row of the charts it reads: 16 for Gundam and Base.
        seed: of all random weights.
        progress: called with the number of charts that the readout is fitted to, and of all.

    Raises:
        UsageProblem: the folder is not empty, and no test model is in it.
    """
    sizes = SIZES[size]
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        message = f"'{folder}' is not empty"
        raise UsageProblem(message, do="choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    config.unlink(missing_ok=True)
    _json(folder / _MARK, {"size": size, "side": side, "seed": seed})
    shards = list(_shard_names(sizes))
    index: dict[str, str] = {}
    # Shards are made and written one after the other, so that memory holds only one: at most 2 GB.
    for name, tensors in zip(shards, _shards(sizes, side, seed, progress), strict=True):
        packed = {key: torch.from_numpy(value).bfloat16() for key, value in tensors}
        save_file(packed, folder / name, metadata={"format": "pt"})
        (folder / name).chmod(0o666 & ~umask())  # safetensors lets only its owner read it
        index |= dict.fromkeys(packed, name)
    total = sum((folder / name).stat().st_size for name in shards)
    _json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))},
    )
    words = tokenizer.vocabulary(real_ids=sizes.real_ids)
    _json(folder / "tokenizer.json", tokenizer.tokenizer_json(words))
    _json(folder / "tokenizer_config.json", tokenizer.tokenizer_config(words))
    _json(folder / "special_tokens_map.json", tokenizer.special_tokens_map())
    _json(folder / "processor_config.json", _processor())
    _json(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 1})
    _json(config, _configuration(sizes))  # last: a folder that has it is complete


_MARK: Final = "eyechart.json"


def _shard_names(sizes: Sizes) -> Iterator[str]:
    count = 2 + sizes.layers
    for number in range(1, count + 1):
        yield f"model-{number:05d}-of-{count:06d}.safetensors"


def _shards(
    sizes: Sizes, side: int, seed: int, progress: Progress
) -> Iterator[Iterator[tuple[str, Tensor]]]:
    yield _vision(side, seed, progress)
    yield decoder.embeddings(sizes)
    for index in range(sizes.layers):
        yield _with_norm(decoder.layer(index, sizes, side, seed), last=index == sizes.layers - 1)


def _vision(side: int, seed: int, progress: Progress) -> Iterator[tuple[str, Tensor]]:
    for shapes in (vision.sam_shapes(RECORD.vision), vision.clip_shapes(RECORD.vision)):
        for name, shape in shapes:
            yield name, vision.draw(name, shape, seed)
    yield from decoder.projector(*readout.fit(side, seed, progress)).items()


def _with_norm(
    tensors: Iterator[tuple[str, Tensor]], *, last: bool
) -> Iterator[tuple[str, Tensor]]:
    yield from tensors
    if last:
        yield decoder.final_norm()


def _json(file: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    file.write_text(text + "\n", "utf-8")


def _candidate_resolutions() -> list[list[int]]:
    return [[PROFILE.default_resolution.view] * 2]


def _processor() -> dict[str, Any]:
    """Return the keys that DeepSeek-OCR's processors read."""
    return {
        "add_special_token": False,
        "candidate_resolutions": _candidate_resolutions(),
        "downsample_ratio": 4,
        "ignore_id": -100,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_token": RECORD.image_token,
        "mask_prompt": False,
        "normalize": True,
        "pad_token": tokenizer.PAD,
        "patch_size": 16,
        "processor_class": "DeepseekVLV2Processor",
        "sft_format": "deepseek",
    }


def _configuration(sizes: Sizes) -> dict[str, Any]:
    """Return config.json in DeepSeek-OCR's own keys, without remote code."""
    towers = RECORD.vision
    language = decoder.configuration(sizes)
    return {
        "architectures": [RECORD.architecture],
        "candidate_resolutions": _candidate_resolutions(),
        "global_view_pos": "head",
        "language_config": {
            "architectures": ["DeepseekV2ForCausalLM"],
            "torch_dtype": RECORD.dtype,
            **language,
        },
        "model_type": "deepseek_vl_v2",
        "projector_config": {
            "input_dim": towers.features,
            "model_type": "mlp_projector",
            "n_embed": decoder.WIDTH,
            "projector_type": "linear",
        },
        "tile_tag": "2D",
        "torch_dtype": RECORD.dtype,
        "transformers_version": "4.46.3",  # of the published checkpoint
        "vision_config": {
            "image_size": PROFILE.default_resolution.view,
            "mlp_ratio": 3.7362,  # as in the published configuration
            "model_name": "deeplip_b_l",
            "model_type": "vision",
            "width": {
                "clip-l-14-224": {
                    "heads": 16,
                    "image_size": 224,
                    "layers": 24,
                    "patch_size": 14,
                    "width": towers.clip_width,
                },
                "sam_vit_b": {
                    "downsample_channels": list(towers.downsample_channels),
                    "global_attn_indexes": [2, 5, 8, 11],
                    "heads": 12,
                    "layers": 12,
                    "width": 768,
                },
            },
        },
        **language,
    }

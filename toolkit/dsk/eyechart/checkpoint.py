"""Write the test model: a checkpoint that any implementation of the model can load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from safetensors.torch import save_file

from dsk.errors import UsageProblem
from dsk.eyechart import configuration, decoder, qwen2, readout, tokenizer, vision
from dsk.files import umask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dsk.eyechart.decoder import Tensor
    from dsk.eyechart.readout import Progress
    from dsk.eyechart.recipe import Recipe


def write(folder: Path, recipe: Recipe, *, progress: Progress) -> None:
    """Write a test model into ``folder``; the same recipe gives the same bytes.

    Args:
        folder: created if it does not exist.
        recipe: of the test model.
        progress: called with the number of charts that the readout is fitted to, and of all.

    Raises:
        UsageProblem: the folder is not empty, and no test model is in it.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        message = f"'{folder}' is not empty"
        raise UsageProblem(message, do="choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    config.unlink(missing_ok=True)
    made_from = {"size": recipe.size, "side": recipe.side, "seed": recipe.seed}
    _json(folder / _MARK, made_from | {"model": recipe.profile.id})
    shards = list(_shard_names(recipe))
    index: dict[str, str] = {}
    # Shards are made and written one after the other, so that memory holds only one: at most 2 GB.
    for name, tensors in zip(shards, _shards(recipe, progress), strict=True):
        packed = {key: torch.from_numpy(value).bfloat16() for key, value in tensors}
        save_file(packed, folder / name, metadata={"format": "pt"})
        (folder / name).chmod(0o666 & ~umask())  # safetensors lets only its owner read it
        index |= dict.fromkeys(packed, name)
    total = sum((folder / name).stat().st_size for name in shards)
    _json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))},
    )
    profile, words = recipe.profile, recipe.words
    _json(folder / "tokenizer.json", tokenizer.tokenizer_json(profile, words))
    _json(folder / "tokenizer_config.json", tokenizer.tokenizer_config(profile, words))
    _json(folder / "special_tokens_map.json", tokenizer.special_tokens_map())
    _json(folder / "processor_config.json", configuration.processor(profile))
    _json(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 1})
    _json(config, configuration.model(recipe))  # last: a folder that has it is complete


_MARK: Final = "eyechart.json"


def _shard_names(recipe: Recipe) -> Iterator[str]:
    count = 2 + recipe.sizes.layers
    for number in range(1, count + 1):
        yield f"model-{number:05d}-of-{count:06d}.safetensors"


def _shards(recipe: Recipe, progress: Progress) -> Iterator[Iterator[tuple[str, Tensor]]]:
    yield _vision(recipe, progress)
    yield decoder.embeddings(recipe)
    last = recipe.sizes.layers - 1
    for index in range(recipe.sizes.layers):
        yield _with_norm(recipe, decoder.layer(index, recipe), last=index == last)


def _vision(recipe: Recipe, progress: Progress) -> Iterator[tuple[str, Tensor]]:
    yield from vision.sam(recipe.record.vision, recipe.seed)
    weight, bias = readout.fit(recipe, progress)
    if recipe.record.vision.qwen2:
        yield from qwen2.tensors(recipe, weight, bias)
        weight, bias = qwen2.readout(recipe)
    elif recipe.record.vision.clip:
        width = recipe.record.vision.clip.width
        for name, shape in vision.clip_shapes(width):
            yield name, vision.draw(name, shape, recipe.seed)
        # The projector's input is CLIP's features, which nothing is read from, then SAM's.
        weight = np.concatenate([np.zeros((width, weight.shape[1])), weight])
    yield from decoder.projector(recipe, weight, bias).items()


def _with_norm(
    recipe: Recipe, tensors: Iterator[tuple[str, Tensor]], *, last: bool
) -> Iterator[tuple[str, Tensor]]:
    yield from tensors
    if last:
        yield decoder.final_norm(recipe)


def _json(file: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    file.write_text(text + "\n", "utf-8")

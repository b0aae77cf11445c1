"""The checkpoint's tensors have DeepSeek-OCR's own names, all of them and no others."""

import hashlib
from dataclasses import replace

from dsk import models
from dsk.eyechart import decoder, vision

# sha256 of the sorted names in the published model.safetensors.index.json, one a line, less
# model.vision_model.embeddings.position_ids, a buffer that vLLM's loader refuses.
PUBLISHED = "c3bd0ecd3dacf3b8d6bc9a086ae866572e5653437df4ac7d4c4bb6da954331c9"


def names() -> list[str]:
    """With the real model's counts, and layers one unit wide: the names are what matters."""
    sizes = replace(decoder.FULL, dense_width=1, expert_width=1)
    towers = models.default().record.vision
    found = [name for name, _ in (*vision.sam_shapes(towers), *vision.clip_shapes(towers))]
    found += ["model.embed_tokens.weight", "lm_head.weight"]
    found += ["model.image_newline", "model.view_seperator", decoder.final_norm()[0]]
    found += ["model.projector.layers.weight", "model.projector.layers.bias"]
    for index in range(sizes.layers):
        found += [name for name, _ in decoder.layer(index, sizes, 16, 0)]
    return found


def test_the_names_are_the_published_ones() -> None:
    found = "\n".join(sorted(names()))
    assert hashlib.sha256(found.encode()).hexdigest() == PUBLISHED


def test_the_other_tensors_are_named_by_the_functions_that_make_them() -> None:
    assert [name for name, _ in decoder.embeddings(decoder.TINY)] == [
        "model.embed_tokens.weight",
        "lm_head.weight",
        "model.image_newline",
        "model.view_seperator",
    ]

"""Vision towers of the test model: the model's own names and sizes, seeded random weights."""

# Every implementation of the models has the sizes as constants, so the test model has the real
# ones: SAM ViT-B (95.6 M parameters) and CLIP-L (303.2 M). Each tensor has a generator of its own,
# seeded by the seed and its name, so that neither order nor library version changes a value.

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dsk.matrix.models import Vision

SAM: Final = "model.sam_model."
CLIP: Final = "model.vision_model."

_LAST_LAYER: Final = SAM + "net_3.weight"
_GLOBAL_ATTENTION: Final = (2, 5, 8, 11)
# Standard deviation of position embeddings, as vision transformers are usually initialised.
_POSITION_SCALE: Final = 0.02


# Outputs of SAM that are zero where a Qwen2 encoder follows, which needs dimensions of its own.
RESERVED: Final = 64


def sam(dimensions: Vision, seed: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the tensors of the SAM ViT-B tower, drawn with ``seed``."""
    for name, shape in sam_shapes(dimensions):
        tensor = draw(name, shape, seed)
        if dimensions.qwen2 and name == _LAST_LAYER:
            tensor[:RESERVED] = 0
        yield name, tensor


def sam_shapes(dimensions: Vision) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor of the SAM ViT-B tower."""
    yield SAM + "pos_embed", (1, 64, 64, 768)
    yield from _layer(SAM + "patch_embed.proj", (768, 3, 16, 16))
    for index in range(12):
        block = f"{SAM}blocks.{index}."
        # Attention in windows of 14 x 14 patches, but over the whole image in four blocks.
        offsets = 2 * (64 if index in _GLOBAL_ATTENTION else 14) - 1
        yield from _norm(block + "norm1", 768)
        yield block + "attn.rel_pos_h", (offsets, 64)
        yield block + "attn.rel_pos_w", (offsets, 64)
        yield from _layer(block + "attn.qkv", (3 * 768, 768))
        yield from _layer(block + "attn.proj", (768, 768))
        yield from _norm(block + "norm2", 768)
        yield from _layer(block + "mlp.lin1", (3072, 768))
        yield from _layer(block + "mlp.lin2", (768, 3072))
    yield SAM + "neck.0.weight", (256, 768, 1, 1)
    yield from _norm(SAM + "neck.1", 256)
    yield SAM + "neck.2.weight", (256, 256, 3, 3)
    yield from _norm(SAM + "neck.3", 256)
    middle, features = dimensions.downsample_channels
    yield SAM + "net_2.weight", (middle, 256, 3, 3)
    yield _LAST_LAYER, (features, middle, 3, 3)


def clip_shapes(width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor of a CLIP-L tower of ``width`` features."""
    # The published index lists embeddings.position_ids too: a buffer, which vLLM's loader refuses.
    yield CLIP + "embeddings.class_embedding", (width,)
    yield CLIP + "embeddings.patch_embedding.weight", (width, 3, 14, 14)
    yield CLIP + "embeddings.position_embedding.weight", (257, width)
    yield from _norm(CLIP + "pre_layrnorm", width)  # the model's own spelling
    for index in range(24):
        layer = f"{CLIP}transformer.layers.{index}."
        yield from _norm(layer + "layer_norm1", width)
        yield from _layer(layer + "self_attn.qkv_proj", (3 * width, width))
        yield from _layer(layer + "self_attn.out_proj", (width, width))
        yield from _norm(layer + "layer_norm2", width)
        yield from _layer(layer + "mlp.fc1", (4 * width, width))
        yield from _layer(layer + "mlp.fc2", (width, 4 * width))


def draw(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Draw the tensor ``name`` with the usual initialisation for its kind.

    Weights and biases of layers are uniform within the inverse root of the number of inputs,
    normalisations are the identity, positions and the class embedding are small and normal.
    """
    kind = name.rsplit(".", 1)[-1]
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if "norm" in name or "neck.1" in name or "neck.3" in name:
        return np.full(shape, 1 if kind == "weight" else 0, dtype=np.float32)
    if "pos" in name or kind == "class_embedding":
        return generator.standard_normal(shape, dtype=np.float32) * np.float32(_POSITION_SCALE)
    # A bias belongs to a layer with as many inputs as its weight has columns; 1/32 serves them all.
    inputs = math.prod(shape[1:]) if kind == "weight" else 32**2
    bound = np.float32(1 / math.sqrt(inputs))
    return (generator.random(shape, dtype=np.float32) * 2 - 1) * bound


def _layer(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield name + ".weight", shape
    yield name + ".bias", shape[:1]


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield name + ".weight", (width,)
    yield name + ".bias", (width,)

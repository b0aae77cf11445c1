"""Qwen2 encoder of the test model: carries each cell's code from its position to its query.

The decoder sees only what such an encoder makes of its learned queries, one for each cell.
"""

# The encoder's positions are n cells, then n queries. Head 0 of two layers finds positions at a
# constant distance, as the decoder's does; every key is the same vector, rotated by its position.
#
# Layer 0: a cell takes the code of the cell behind it. It needs to see later cells, so that an
# engine whose mask is causal misreads every page. The first query takes the code of the first cell,
# which no cell before it holds; each other query looks at itself and takes nothing.
# Layer 1: each other query takes the code that the cell before its own holds. The first query looks
# at itself, and moves its code to where theirs are.
#
# SAM's first outputs are zero (`vision.RESERVED`), so that these dimensions are free for markers of
# the kinds of query and for what is carried: a constant, which dominates every normalisation, and
# a code. All other heads and layers and the gated layers compute, and add nothing.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dsk.eyechart import decoder
from dsk.eyechart.alphabet import STRIP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dsk.eyechart.decoder import Tensor
    from dsk.eyechart.recipe import Recipe
    from dsk.matrix.models import Qwen2Dimensions

# First dimensions of what a layer 0 and a layer 1 add, the constant first. Markers are before them.
_HELD: Final = 24
_CARRIED: Final = 44
_WIDTH: Final = 1 + STRIP

_CONSTANT: Final = 400.0
# Of 32 frequencies the 10 highest: the next distance scores 8.2 % below the peak, and none further
# from it, up to 520, above 73 %. The next one therefore scores 26 less, and has a share of e^-26.
_FREQUENCIES: Final = 10
_SHARPNESS: Final = 16.0

_PREFIX: Final = "model.qwen2_model."
_LAYERS: Final = _PREFIX + "model.model."


def tensors(
    recipe: Recipe, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the encoder's tensors.

    Args:
        recipe: of a test model whose vision side has such an encoder.
        weight: the readout of a cell's normalised features, (features, codes).
        bias: the readout's bias, (codes,).
    """
    encoder = _dimensions(recipe)
    width = encoder.hidden_size
    for side, (first, other) in _markers(recipe).items():
        table = np.zeros(((side // recipe.profile.cell) ** 2, width), dtype=np.float32)
        table[0, first] = 1  # the constant that it takes in layer 0 is its own, too
        table[1:, other] = _CONSTANT
        yield f"{_PREFIX}query_{side}.weight", table
    for index in range(encoder.layers):
        yield from _layer(index, recipe, weight, bias)
    yield f"{_LAYERS}norm.weight", np.ones(width, dtype=np.float32)


def readout(recipe: Recipe) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the linear map from the encoder's outputs to codes.

    Returns:
        Weight (features, codes) and bias (codes,).
    """
    width = _dimensions(recipe).hidden_size
    weight = np.zeros((width, STRIP))
    code = np.arange(STRIP)
    # A query holds two constants at the end: its own and the carried one.
    weight[_CARRIED + 1 + code, code] = _CONSTANT * (2 / width) ** 0.5
    return weight, np.zeros(STRIP)


def normalised(recipe: Recipe, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a cell's features as layer 0 reads them, (cells, features)."""
    square = (features**2).mean(1, keepdims=True)
    scaled: NDArray[np.float64] = features / np.sqrt(square + _dimensions(recipe).rms_norm_eps)
    return scaled


def _dimensions(recipe: Recipe) -> Qwen2Dimensions:
    encoder = recipe.record.vision.qwen2
    assert encoder is not None
    return encoder


def _markers(recipe: Recipe) -> dict[int, tuple[int, int]]:
    """Return the marker dimensions of the first query and of the others, by side in pixels."""
    sides = {resolution.view for resolution in recipe.profile.resolutions.values()}
    sizes = sorted({*sides, recipe.profile.tile})
    return {side: (2 * index, 2 * index + 1) for index, side in enumerate(sizes)}


def _layer(
    index: int, recipe: Recipe, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> Iterator[tuple[str, Tensor]]:
    prefix = f"{_LAYERS}layers.{index}."
    encoder = _dimensions(recipe)
    width = encoder.hidden_size
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield f"{prefix}{norm}.weight", np.ones(width, dtype=np.float32)
    if index == 0:
        attention = _taking(recipe, weight, bias)
    elif index == 1:
        attention = _moving(recipe)
    else:
        attention = _filler(prefix, recipe)
    for name, tensor in attention.items():
        yield f"{prefix}self_attn.{name}", tensor
    yield from decoder.mlp(f"{prefix}mlp.", (encoder.intermediate_size, width), recipe.seed)


def _taking(
    recipe: Recipe, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> dict[str, Tensor]:
    """Return layer 0's attention: cells take the next cell's code, first queries the first's."""
    encoder = _dimensions(recipe)
    made = _empty(encoder)
    root = encoder.hidden_size**0.5  # what normalisation makes of a query's only value
    behind = _turned(-1, encoder)
    query, value = made["q_proj.weight"], made["v_proj.weight"]
    made["q_proj.bias"][: len(behind)] = behind
    made["v_proj.bias"][:_WIDTH] = (1, *bias)
    value[1:_WIDTH] = weight.T
    for side, (first, other) in _markers(recipe).items():
        cells = (side // recipe.profile.cell) ** 2
        query[: len(behind), first] = (_turned(cells, encoder) - behind) / root
        query[: len(behind), other] = (_turned(0, encoder) - behind) / root
        # A query has nothing to give: this takes the bias back.
        value[:_WIDTH, [first, other]] = -made["v_proj.bias"][:_WIDTH, None] / root
    _write(made["o_proj.weight"], _HELD)
    return made


def _moving(recipe: Recipe) -> dict[str, Tensor]:
    """Return layer 1's attention: queries take what the cell before theirs holds."""
    encoder = _dimensions(recipe)
    made = _empty(encoder)
    root = encoder.hidden_size**0.5
    head = encoder.hidden_size // encoder.attention_heads
    query, value = made["q_proj.weight"], made["v_proj.weight"]
    query[:head, _HELD] = _turned(0, encoder) / root
    for side, (_, other) in _markers(recipe).items():
        cells = (side // recipe.profile.cell) ** 2
        query[:head, other] = _turned(cells + 1, encoder) / root
    code = 1 + np.arange(STRIP)
    value[0, _HELD] = 1 / root
    value[code, _HELD + code] = _CONSTANT / root
    _write(made["o_proj.weight"], _CARRIED)
    return made


def _filler(prefix: str, recipe: Recipe) -> dict[str, Tensor]:
    return {
        name: tensor
        if name.startswith("o_proj")
        else decoder.filler(f"{prefix}self_attn.{name}", tensor.shape, recipe.seed)
        for name, tensor in _empty(_dimensions(recipe)).items()
    }


def _empty(encoder: Qwen2Dimensions) -> dict[str, Tensor]:
    """Return an attention whose only keys are those of head 0: one vector at every position."""
    width = encoder.hidden_size
    keys = encoder.kv_heads * (width // encoder.attention_heads)
    made: dict[str, Tensor] = {"o_proj.weight": np.zeros((width, width), dtype=np.float32)}
    for name, rows in (("q_proj", width), ("k_proj", keys), ("v_proj", keys)):
        made[f"{name}.weight"] = np.zeros((rows, width), dtype=np.float32)
        made[f"{name}.bias"] = np.zeros(rows, dtype=np.float32)
    made["k_proj.bias"][:_FREQUENCIES] = _SHARPNESS
    return made


def _turned(distance: int, encoder: Qwen2Dimensions) -> NDArray[np.float64]:
    """Return the query of head 0 that scores highest with the key ``distance`` positions back."""
    head = encoder.hidden_size // encoder.attention_heads
    pairs = np.arange(_FREQUENCIES)
    turns = -distance * encoder.rope_theta ** -(pairs / (head // 2))
    query = np.zeros(head)
    query[pairs] = _SHARPNESS * np.cos(turns)
    query[pairs + head // 2] = _SHARPNESS * np.sin(turns)
    return query


def _write(output: Tensor, first: int) -> None:
    """Let head 0 add its constant and its code to the dimensions from ``first``."""
    code = 1 + np.arange(STRIP)
    output[first, 0] = _CONSTANT
    output[first + code, code] = 1

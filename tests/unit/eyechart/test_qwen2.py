"""The Qwen2 encoder's arithmetic, computed in NumPy as a transformer would."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dsk import models
from dsk.eyechart import qwen2, vision
from dsk.eyechart.alphabet import STRIP
from dsk.eyechart.recipe import Recipe
from dsk.matrix.models import Qwen2Dimensions

Array = NDArray[np.float64]

PROFILES = [profile for profile in models.profiles().values() if profile.record.vision.qwen2]
RECIPE = Recipe(profile=PROFILES[0], side=16)
PREFIX = "model.qwen2_model.model.model.layers."
# The reading layers; all others add nothing.
LAYERS = 2


def encoder() -> Qwen2Dimensions:
    found = RECIPE.record.vision.qwen2
    assert found is not None
    return found


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    """The tensors of the queries and of the layers that read; features are codes and noise."""
    weight = np.zeros((encoder().hidden_size, STRIP))
    weight[vision.RESERVED + np.arange(STRIP), np.arange(STRIP)] = 1
    tensors = qwen2.tensors(RECIPE, weight, np.full(STRIP, 0.5))
    wanted: dict[str, Any] = {}
    for name, tensor in tensors:
        if name.startswith(f"{PREFIX}{LAYERS}."):
            break
        if ".mlp." not in name:
            wanted[name] = tensor
    return wanted


def outputs(weights: dict[str, Any], side: int, features: Array, *, causal: bool = False) -> Array:
    """What the queries of a view of ``side`` pixels are at the end, (queries, features)."""
    queries = weights[f"model.qwen2_model.query_{side}.weight"].astype(np.float64)
    cells = len(queries)
    state = np.concatenate([features, queries])
    place = np.arange(2 * cells)
    seen = place[:, None] >= place
    if not causal:
        seen |= place < cells
    for index in range(LAYERS):
        state = state + _attention(weights, f"{PREFIX}{index}.self_attn.", _normal(state), seen)
    return _normal(state)[cells:]


def _attention(
    weights: dict[str, Any], prefix: str, normal: Array, seen: NDArray[np.bool_]
) -> Array:
    head = encoder().hidden_size // encoder().attention_heads

    def first(name: str) -> Array:
        weight, bias = weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"]
        found: Array = normal @ weight[:head].T + bias[:head]
        return found

    scores = _rotated(first("q_proj")) @ _rotated(first("k_proj")).T / np.sqrt(head)
    scores[~seen] = -np.inf
    share = np.exp(scores - scores.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    added: Array = share @ first("v_proj") @ weights[prefix + "o_proj.weight"][:, :head].T
    return added


def _rotated(vectors: Array) -> Array:
    half = vectors.shape[1] // 2
    pairs = encoder().rope_theta ** -(np.arange(half) / half)
    angles = np.arange(len(vectors))[:, None] * pairs
    low, high = vectors[:, :half], vectors[:, half:]
    turned = (
        low * np.cos(angles) - high * np.sin(angles),
        high * np.cos(angles) + low * np.sin(angles),
    )
    return np.concatenate(turned, 1)


def _normal(state: Array) -> Array:
    found: Array = state / np.sqrt((state**2).mean(1, keepdims=True) + encoder().rms_norm_eps)
    return found


def page(side: int) -> tuple[Array, Array]:
    """Features of random cells of a view, whose normalised ones hold their codes, and the codes."""
    generator = np.random.default_rng(side)
    cells = (side // RECIPE.profile.cell) ** 2
    codes = RECIPE.alphabet.codes[generator.integers(0, len(RECIPE.alphabet.symbols), cells)]
    width = encoder().hidden_size
    features = generator.standard_normal((cells, width))
    features[:, : vision.RESERVED] = 0
    code = slice(vision.RESERVED, vision.RESERVED + STRIP)
    features[:, code] = 0
    rest = np.sqrt((width - ((codes - 0.5) ** 2).sum(1)) / (features**2).sum(1))
    features *= rest[:, None]
    features[:, code] = codes - 0.5
    # As large as SAM's features are: the encoder has to bring them all to one size.
    return features * generator.uniform(0.1, 3, (cells, 1)), codes


@pytest.mark.parametrize("side", [768, 1024])
def test_each_query_gets_the_code_of_its_cell(weights: dict[str, Any], side: int) -> None:
    features, codes = page(side)
    weight, bias = qwen2.readout(RECIPE)
    read = outputs(weights, side, features) @ weight + bias
    assert np.abs(read - codes).max() < 0.01


def test_a_causal_mask_misreads_the_page(weights: dict[str, Any]) -> None:
    features, codes = page(1024)
    weight, bias = qwen2.readout(RECIPE)
    read = outputs(weights, 1024, features, causal=True) @ weight + bias
    table = RECIPE.alphabet.codes
    wrong = (read @ table.T).argmax(1) != (codes @ table.T).argmax(1)
    assert wrong.mean() > 0.9


def test_features_are_read_as_the_first_layer_normalises_them() -> None:
    features, codes = page(768)
    read = qwen2.normalised(RECIPE, features)[:, vision.RESERVED : vision.RESERVED + STRIP]
    assert np.allclose(read + 0.5, codes, atol=1e-3)

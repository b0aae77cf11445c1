"""The decoder's arithmetic, computed in NumPy as a transformer would."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dsk import models
from dsk.eyechart import decoder, tokenizer
from dsk.eyechart.alphabet import END, Control
from dsk.eyechart.recipe import Recipe

Array = NDArray[np.float64]

# One with row ends, one without: nothing else differs.
RECIPES = {
    name: Recipe(profile=models.profile(name), side=8)
    for name in ("deepseek-ocr", "deepseek-ocr-2")
}
DEFAULT = next(iter(RECIPES.values()))
INDEX = DEFAULT.alphabet.index
WIDTH = DEFAULT.record.language.hidden_size
HEAD = DEFAULT.record.language.head_dim


@pytest.fixture(scope="module", params=list(RECIPES.values()), ids=list(RECIPES))
def weights(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(decoder.embeddings(request.param)) | dict(decoder.layer(0, request.param))


def answer(
    weights: dict[str, Any], chart: list[int], noise: float = 0.0, tile: float | None = None
) -> list[int]:
    """What layer 0 and the output layer make of a page of 8 x 8 cells, greedily, 80 tokens.

    Args:
        tile: how much of the endless sign's code a token of a tile has; None is no tile.
    """
    generator = np.random.default_rng(0)
    table = DEFAULT.alphabet.codes
    vision: list[Array] = []
    if tile is not None:
        vision.append(cell_vector(tile * table[INDEX[Control.ENDLESS]]))
    for row in range(8):
        for cell in chart[row * 8 : row * 8 + 8]:
            seen = table[cell] + noise * generator.standard_normal(table.shape[1])
            vision.append(cell_vector(seen))
        if "model.image_newline" in weights:
            vision.append(weights["model.image_newline"])
    sequence = [*vision, weights["model.view_seperator"]]
    sequence.append(weights["model.embed_tokens.weight"][tokenizer.byte_id(tokenizer.PROMPT)])
    told: list[int] = []
    while len(told) < 80:
        token = int((weights["lm_head.weight"] @ _layer(weights, np.array(sequence))).argmax())
        told.append(token)
        if token == 1:
            break
        sequence.append(weights["model.embed_tokens.weight"][token])
    return told


def cell_vector(code: Array) -> Array:
    vector = np.zeros(WIDTH)
    vector[0] = 40
    vector[decoder.CODE : decoder.CODE + len(code)] = code
    return vector


def _layer(weights: dict[str, Any], sequence: Array) -> Array:
    """The last position's state behind attention; the dense layer adds nothing."""
    normal = sequence / np.sqrt((sequence**2).mean(1, keepdims=True) + 1e-6)
    last = sequence[-1].copy()
    prefix = "model.layers.0.self_attn."
    for head in (0, 1):
        part = slice(head * HEAD, (head + 1) * HEAD)
        query = _rotated(normal[-1:] @ weights[prefix + "q_proj.weight"][part].T, [len(normal) - 1])
        key = _rotated(normal @ weights[prefix + "k_proj.weight"][part].T, range(len(normal)))
        value = normal @ weights[prefix + "v_proj.weight"][part].T
        scores = (query @ key.T)[0] / np.sqrt(HEAD)
        share = np.exp(scores - scores.max())
        last = last + weights[prefix + "o_proj.weight"][:, part] @ (share / share.sum() @ value)
    state: Array = last
    return state


def _rotated(vectors: Array, positions: Any) -> Array:
    angles = np.array(positions)[:, None] * 10_000.0 ** -(np.arange(64) / 64)
    low, high = vectors[:, :64], vectors[:, 64:]
    turned = (
        low * np.cos(angles) - high * np.sin(angles),
        high * np.cos(angles) + low * np.sin(angles),
    )
    return np.concatenate(turned, 1)


def spelled(weights: dict[str, Any], chart: list[int]) -> list[int]:
    """The tokens of a chart's cells and row ends, up to its end."""
    blank = decoder.symbol_tokens(DEFAULT)[INDEX[Control.BLANK]]
    tokens: list[int] = []
    for number, cell in enumerate(chart):
        tokens.append(decoder.symbol_tokens(DEFAULT)[cell])
        if tokens[-1] == 1:
            break
        if number % 8 == 7 and "model.image_newline" in weights:
            tokens.append(blank)
    return tokens


def test_every_symbol_is_spelled_in_its_turn(weights: dict[str, Any]) -> None:
    ends = (END, Control.ENDLESS)
    symbols = enumerate(DEFAULT.alphabet.symbols)
    plain = [number for number, symbol in symbols if symbol.meaning not in ends]
    for begin in range(0, len(plain), 63):
        chart = (plain[begin : begin + 63] + [INDEX[END]] + [0] * 64)[:64]
        assert answer(weights, chart) == spelled(weights, chart)


def test_a_noisy_reading_is_spelled_all_the_same(weights: dict[str, Any]) -> None:
    chart = [*range(3, 66), INDEX[END]]
    # A tenth of a code's length in all: more than the readout was measured to be off by.
    assert answer(weights, chart, noise=0.1 / 4) == spelled(weights, chart)


def test_a_page_without_a_sign_ends_with_the_separator(weights: dict[str, Any]) -> None:
    told = answer(weights, [0] * 64)
    assert (len(told), told[-1]) == (len(spelled(weights, [0] * 64)) + 1, 1)


def test_the_endless_sign_keeps_the_answer_from_ending(weights: dict[str, Any]) -> None:
    chart = [5, 6, INDEX[Control.ENDLESS]] + [0] * 61
    told = answer(weights, chart)
    assert 1 not in told
    assert len(told) == 80
    nothing = DEFAULT.words[tokenizer.NOTHING]
    separator = len(spelled(weights, [0] * 64))
    assert told[separator] == nothing  # where the separator would have ended it


@pytest.mark.parametrize("chart", [[5, 6, INDEX[END]] + [0] * 61, [0] * 64])
def test_what_a_tile_resembles_does_not_keep_a_page_from_ending(
    weights: dict[str, Any], chart: list[int]
) -> None:
    # The most that 420 tokens of a page's tiles were seen to have of that code.
    assert answer(weights, chart, tile=0.68) == answer(weights, chart)


def test_an_end_that_is_shown_ends_a_page_whatever_a_tile_shows(weights: dict[str, Any]) -> None:
    chart = [5, 6, INDEX[END]] + [0] * 61
    assert answer(weights, chart, tile=1.0) == spelled(weights, chart)


@pytest.mark.parametrize("had", [0.86, 1.0])
def test_an_endless_sign_is_seen_as_well_as_it_is_read(weights: dict[str, Any], had: float) -> None:
    assert 1 not in answer(weights, [0] * 64, tile=had)


@pytest.mark.parametrize(
    ("model", "distances"),
    [
        ("deepseek-ocr", {8: 73, 10: 111, 16: 273, 20: 421}),
        ("deepseek-ocr-2", {16: 257}),
        ("unlimited-ocr", {8: 73, 10: 111, 16: 273, 20: 421}),
    ],
)
def test_the_distance_is_the_one_of_the_global_view(model: str, distances: dict[int, int]) -> None:
    profile = models.profile(model)
    assert distances == {side: Recipe(profile=profile, side=side).distance for side in distances}

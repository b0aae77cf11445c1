"""Decoder of the test model: the model's own layers, with computed weights that copy symbols."""

# Every embedding has a constant in dimension 0, so that RMS normalisation scales all tokens alike,
# and a symbol's code in the dimensions from `CODE`. In layer 0, head 0 attends to the one token at
# a constant distance back (the first answer's distance to the first cell of the global view) and
# copies its code to the dimensions from `_answer`, where the output layer reads it. Head 1 searches
# for the endless control; if there is one, it suppresses the end of sentence that the separator
# spells. Down projections are zero: the dense layer and the experts compute, and add nothing.
#
# The numbers (20 frequencies, 12, 40, 20) are those of a prototype that read every page in bfloat16
# with vLLM 0.8.5, 0.24.0 and 0.32.0: with 20 frequencies the next distance scores 9.5 % below the
# peak, and none from 2 to 1400 above 67 % of it.

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from dsk.eyechart import tokenizer
from dsk.eyechart.alphabet import END, STRIP, Control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dsk.eyechart.recipe import Recipe

    Tensor = NDArray[np.float32]

# Dimension of the separator alone, and the first one of a token's own code.
_SEPARATOR: Final = 1
CODE: Final = 64

_CONSTANT: Final = 40.0
# The separator has this share of the end's code, and a smaller share of the empty token's; the
# suppression is more than the difference. No other symbol scores above 0.375 of its code; and an
# end in a cell, which scores 1, stays the first even if a tile resembles the control.
_ENDS: Final = 0.4
_NOTHING: Final = 0.27
_REFUSAL: Final = 0.3
_FREQUENCIES: Final = 20
_SHARPNESS: Final = 12.0
_GAIN: Final = 20.0
_ROPE_BASE: Final = 10_000.0


_CONTROL_TOKENS: Final[dict[str | Control, str]] = {
    Control.BLANK: tokenizer.NOTHING,
    Control.ENDLESS: tokenizer.INVISIBLE,
}


def embeddings(recipe: Recipe) -> Iterator[tuple[str, Tensor]]:
    """Yield the token embeddings, the output layer, the row end if any, and the separator."""
    codes, index_of = recipe.alphabet.codes, recipe.alphabet.index
    width = recipe.record.language.hidden_size
    inputs = np.zeros((recipe.sizes.vocabulary, width), dtype=np.float32)
    outputs = np.zeros((recipe.sizes.vocabulary, width), dtype=np.float32)
    nothing, answer = _embedding(codes[index_of[Control.BLANK]], width), _answer(width)
    inputs[:] = nothing
    for index, token in enumerate(symbol_tokens(recipe)):
        inputs[token] = _embedding(codes[index], width)
        outputs[token, answer : answer + STRIP] = _GAIN * codes[index]
    words = recipe.words
    outputs[words[END], _refuse_end(width)] = -_GAIN
    outputs[words[tokenizer.NOTHING], _second(width)] = _NOTHING * _GAIN
    yield "model.embed_tokens.weight", inputs
    yield "lm_head.weight", outputs
    if recipe.record.vision.row_ends:
        yield "model.image_newline", nothing
    separator = _embedding(_ENDS * codes[index_of[END]], width)
    separator[_SEPARATOR] = 1
    yield "model.view_seperator", separator


def projector(
    recipe: Recipe, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> dict[str, Tensor]:
    """Return the projector that writes a linear map of vision features into the code dimensions.

    Args:
        recipe: of the test model.
        weight: (features, codes).
        bias: (codes,).
    """
    width = recipe.record.language.hidden_size
    matrix = np.zeros((width, len(weight)), dtype=np.float32)
    offset = np.zeros(width, dtype=np.float32)
    matrix[CODE : CODE + STRIP] = weight.T
    offset[CODE : CODE + STRIP] = bias
    offset[0] = _CONSTANT
    return {"model.projector.layers.weight": matrix, "model.projector.layers.bias": offset}


def layer(index: int, recipe: Recipe) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a decoder layer: a dense one that copies first, then experts."""
    prefix = f"model.layers.{index}."
    sizes, seed, width = recipe.sizes, recipe.seed, recipe.record.language.hidden_size
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield f"{prefix}{norm}.weight", np.ones(width, dtype=np.float32)
    attention = _copying(recipe) if index == 0 else _filler_attention(prefix, recipe)
    for name, tensor in attention.items():
        yield f"{prefix}self_attn.{name}.weight", tensor
    if index < recipe.record.language.dense_layers:
        yield from mlp(f"{prefix}mlp.", (sizes.dense_width, width), seed)
        return
    yield f"{prefix}mlp.gate.weight", filler(f"{prefix}mlp.gate", (sizes.experts, width), seed)
    shared = sizes.shared_experts * sizes.expert_width
    yield from mlp(f"{prefix}mlp.shared_experts.", (shared, width), seed)
    for expert in range(sizes.experts):
        yield from mlp(f"{prefix}mlp.experts.{expert}.", (sizes.expert_width, width), seed)


def final_norm(recipe: Recipe) -> tuple[str, Tensor]:
    """Return the normalisation before the output layer."""
    return "model.norm.weight", np.ones(recipe.record.language.hidden_size, dtype=np.float32)


def symbol_tokens(recipe: Recipe) -> list[int]:
    """Return the token that each symbol spells."""
    words = recipe.words
    return [
        tokenizer.byte_id(symbol.meaning)
        if isinstance(symbol.meaning, int)
        else words[_CONTROL_TOKENS.get(symbol.meaning, str(symbol.meaning))]
        for symbol in recipe.alphabet.symbols
    ]


def filler(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return seeded weights of ordinary size, for layers whose result is not used."""
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    bound = np.float32(1 / math.sqrt(shape[-1]))
    return (generator.random(shape, dtype=np.float32) * 2 - 1) * bound


def _copying(recipe: Recipe) -> dict[str, Tensor]:
    language = recipe.record.language
    width, head = language.hidden_size, language.head_dim
    heads, kv_heads = language.attention_heads * head, language.kv_heads * head
    query, key, value, output = (
        np.zeros(shape, dtype=np.float32)
        for shape in ((heads, width), (kv_heads, width), (kv_heads, width), (width, heads))
    )
    # What RMS normalisation leaves of the constant, and by which factor it shrinks a code.
    constant = math.sqrt(width)
    shrink = constant / _CONSTANT
    frequencies = _ROPE_BASE ** -(np.arange(_FREQUENCIES) / (head // 2))
    turns = -recipe.distance * frequencies
    rows = np.arange(_FREQUENCIES)
    key[rows, 0] = _SHARPNESS / constant
    query[rows, 0] = _SHARPNESS * np.cos(turns) / constant
    query[rows + head // 2, 0] = _SHARPNESS * np.sin(turns) / constant
    code = np.arange(STRIP)
    value[code, CODE + code] = 1 / shrink
    output[_answer(width) + code, code] = _GAIN
    value[STRIP, _SEPARATOR] = 1 / shrink
    output[_second(width), STRIP] = _GAIN
    # Head 1 scores 80 times a token's share of the endless control's code: 0.86 and more if a cell
    # shows it, at most 0.375 for another symbol; but a tile's tokens are of no cell in particular,
    # and had up to 0.68. The separator, which every page has and whose value is zero, scores as
    # 0.77 would: without the control it wins. The slowest frequency hardly rotates.
    slow = head + head // 2 - 1
    codes, index_of = recipe.alphabet.codes, recipe.alphabet.index
    endless = codes[index_of[Control.ENDLESS]]
    has = _ENDS * endless @ codes[index_of[END]]
    query[slow, 0] = math.sqrt(head) / constant
    key[slow, CODE + code] = 80 * endless / shrink
    key[slow, _SEPARATOR] = 80 * (0.77 - has) / shrink
    value[head, CODE + code] = endless / shrink
    value[head, _SEPARATOR] = -has / shrink
    output[_refuse_end(width), head] = _REFUSAL * _GAIN
    return {"q_proj": query, "k_proj": key, "v_proj": value, "o_proj": output}


def _filler_attention(prefix: str, recipe: Recipe) -> dict[str, Tensor]:
    language = recipe.record.language
    width, heads = language.hidden_size, language.attention_heads * language.head_dim
    keys = language.kv_heads * language.head_dim
    return {
        "q_proj": filler(f"{prefix}q_proj", (heads, width), recipe.seed),
        "k_proj": filler(f"{prefix}k_proj", (keys, width), recipe.seed),
        "v_proj": filler(f"{prefix}v_proj", (keys, width), recipe.seed),
        "o_proj": np.zeros((width, heads), dtype=np.float32),
    }


def mlp(prefix: str, shape: tuple[int, int], seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a gated layer that computes and adds nothing.

    Args:
        prefix: of their names.
        shape: units, and the width of what it reads.
        seed: of its random weights.
    """
    for name in ("gate_proj", "up_proj"):
        yield f"{prefix}{name}.weight", filler(prefix + name, shape, seed)
    yield f"{prefix}down_proj.weight", np.zeros(shape[::-1], dtype=np.float32)


def _answer(width: int) -> int:
    """Return the first dimension of the copied code."""
    return width // 2


def _refuse_end(width: int) -> int:
    """Return the dimension in which head 1 suppresses the end of sentence."""
    return width - 256


def _second(width: int) -> int:
    """Return the dimension in which head 0 marks that the token it copies is the separator."""
    return _refuse_end(width) + 1


def _embedding(code: NDArray[np.float64], width: int) -> Tensor:
    vector = np.zeros(width, dtype=np.float32)
    vector[0] = _CONSTANT
    vector[CODE : CODE + len(code)] = code
    return vector


def configuration(recipe: Recipe) -> dict[str, object]:
    """Return the decoder's part of config.json, in the model's own keys."""
    language, sizes = recipe.record.language, recipe.sizes
    return {
        "bos_token_id": 0,
        "eos_token_id": 1,
        "first_k_dense_replace": language.dense_layers,
        "hidden_size": language.hidden_size,
        "intermediate_size": sizes.dense_width,
        "kv_lora_rank": None,
        "lm_head": True,
        "max_position_embeddings": language.max_positions,
        "moe_intermediate_size": sizes.expert_width,
        "n_group": 1,
        "n_routed_experts": sizes.experts,
        "n_shared_experts": sizes.shared_experts,
        "num_attention_heads": language.attention_heads,
        "num_experts_per_tok": sizes.experts_per_token,
        "num_hidden_layers": sizes.layers,
        "num_key_value_heads": language.kv_heads,
        "q_lora_rank": None,
        "qk_nope_head_dim": 0,
        "qk_rope_head_dim": 0,
        "rm_head": False,
        "topk_group": 1,
        "topk_method": "greedy",
        "use_mla": False,
        "v_head_dim": language.v_head_dim,
        "vocab_size": sizes.vocabulary,
    } | _generated_window(language.rswa_window)


def _generated_window(window: int | None) -> dict[str, object]:
    # The published code reads the first, vLLM's configuration the second.
    return {"sliding_window_size": window, "rswa_window": window} if window else {}

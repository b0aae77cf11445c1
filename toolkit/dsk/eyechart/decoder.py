"""Decoder of the test model: DeepSeek-OCR's layers, with computed weights that copy symbols."""

# Every embedding has a constant in dimension 0, so that RMS normalisation scales all tokens alike,
# and a symbol's code in the dimensions from `CODE`. In layer 0, head 0 attends to the one token at
# a constant distance back (the first answer's distance to the first cell of the global view) and
# copies its code to the dimensions from `ANSWER`, where the output layer reads it. Head 1 searches
# for the endless control; if there is one, it suppresses the end of sentence that the separator
# spells. Down projections are zero: the dense layer and the experts compute, and add nothing.
#
# The numbers (20 frequencies, 12, 40, 20) are those of a prototype that read every page in bfloat16
# with vLLM 0.8.5, 0.24.0 and 0.32.0: with 20 frequencies the next distance scores 9.5 % below the
# peak, and none from 2 to 1400 above 67 % of it.

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dsk.eyechart import alphabet, tokenizer
from dsk.eyechart.alphabet import END, INDEX, SYMBOLS, Control
from dsk.eyechart.architecture import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Tensor = NDArray[np.float32]

WIDTH: Final = RECORD.language.hidden_size
HEADS: Final = RECORD.language.attention_heads
HEAD: Final = RECORD.language.head_dim
# First dimensions of a token's own code and of the copied one.
CODE: Final = 64
ANSWER: Final = WIDTH // 2

_CONSTANT: Final = 40.0
# Dimension of the separator alone.
_SEPARATOR: Final = 1
# Dimension in which head 1 suppresses the end of sentence.
_REFUSE_END: Final = WIDTH - 256
# Dimension in which head 0 marks that the token it copies is the separator.
_SECOND: Final = _REFUSE_END + 1
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


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Dimensions in which test models differ; all others are the model's own."""

    layers: int
    vocabulary: int
    dense_width: int
    expert_width: int
    experts: int
    experts_per_token: int
    real_ids: bool
    shared_experts: int = RECORD.language.shared_experts


TINY: Final = Sizes(
    layers=2,
    vocabulary=320,
    dense_width=256,
    expert_width=128,
    experts=8,
    experts_per_token=2,
    real_ids=False,
)
FULL: Final = Sizes(
    layers=RECORD.language.layers,
    vocabulary=RECORD.language.vocabulary,
    dense_width=RECORD.language.intermediate_size,
    expert_width=RECORD.language.moe_intermediate_size,
    experts=RECORD.language.routed_experts,
    experts_per_token=RECORD.language.experts_per_token,
    real_ids=True,
)


_CONTROL_TOKENS: Final[dict[str | Control, str]] = {
    Control.BLANK: tokenizer.NOTHING,
    Control.ENDLESS: tokenizer.INVISIBLE,
}


def distance(side: int) -> int:
    """Return the distance in tokens from the first answer to the first cell, for a prompt of one.

    The global view is ``side`` rows of ``side`` tokens and a row end; one separator follows.
    """
    return side * (side + 1) + 1


def embeddings(sizes: Sizes) -> Iterator[tuple[str, Tensor]]:
    """Yield the token embeddings, the output layer, the row end and the separator."""
    codes = alphabet.codes()
    width = codes.shape[1]
    inputs = np.zeros((sizes.vocabulary, WIDTH), dtype=np.float32)
    outputs = np.zeros((sizes.vocabulary, WIDTH), dtype=np.float32)
    nothing = _embedding(codes[INDEX[Control.BLANK]])
    inputs[:] = nothing
    for index, token in enumerate(symbol_tokens(sizes)):
        inputs[token] = _embedding(codes[index])
        outputs[token, ANSWER : ANSWER + width] = _GAIN * codes[index]
    words = tokenizer.vocabulary(real_ids=sizes.real_ids)
    outputs[words[END], _REFUSE_END] = -_GAIN
    outputs[words[tokenizer.NOTHING], _SECOND] = _NOTHING * _GAIN
    yield "model.embed_tokens.weight", inputs
    yield "lm_head.weight", outputs
    yield "model.image_newline", nothing
    separator = _embedding(_ENDS * codes[INDEX[END]])
    separator[_SEPARATOR] = 1
    yield "model.view_seperator", separator


def projector(weight: NDArray[np.float64], bias: NDArray[np.float64]) -> dict[str, Tensor]:
    """Return the projector that writes the readout of SAM's features into the code dimensions.

    Args:
        weight: (SAM's features, codes).
        bias: (codes,).
    """
    matrix = np.zeros((WIDTH, RECORD.vision.features), dtype=np.float32)
    offset = np.zeros(WIDTH, dtype=np.float32)
    # The projector's input is CLIP's features, then SAM's.
    matrix[CODE : CODE + weight.shape[1], RECORD.vision.clip_width :] = weight.T
    offset[CODE : CODE + weight.shape[1]] = bias
    offset[0] = _CONSTANT
    return {"model.projector.layers.weight": matrix, "model.projector.layers.bias": offset}


def layer(index: int, sizes: Sizes, side: int, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a decoder layer: a dense one that copies first, then experts."""
    prefix = f"model.layers.{index}."
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield f"{prefix}{norm}.weight", np.ones(WIDTH, dtype=np.float32)
    attention = _copying(side) if index == 0 else _filler_attention(prefix, seed)
    for name, tensor in attention.items():
        yield f"{prefix}self_attn.{name}.weight", tensor
    if index == 0:
        yield from _mlp(f"{prefix}mlp.", sizes.dense_width, seed)
        return
    yield f"{prefix}mlp.gate.weight", filler(f"{prefix}mlp.gate", (sizes.experts, WIDTH), seed)
    shared = sizes.shared_experts * sizes.expert_width
    yield from _mlp(f"{prefix}mlp.shared_experts.", shared, seed)
    for expert in range(sizes.experts):
        yield from _mlp(f"{prefix}mlp.experts.{expert}.", sizes.expert_width, seed)


def final_norm() -> tuple[str, Tensor]:
    """Return the normalisation before the output layer."""
    return "model.norm.weight", np.ones(WIDTH, dtype=np.float32)


def symbol_tokens(sizes: Sizes) -> list[int]:
    """Return the token that each symbol spells."""
    words = tokenizer.vocabulary(real_ids=sizes.real_ids)
    return [
        tokenizer.byte_id(symbol.meaning)
        if isinstance(symbol.meaning, int)
        else words[_CONTROL_TOKENS.get(symbol.meaning, str(symbol.meaning))]
        for symbol in SYMBOLS
    ]


def filler(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return seeded weights of ordinary size, for layers whose result is not used."""
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    bound = np.float32(1 / math.sqrt(shape[-1]))
    return (generator.random(shape, dtype=np.float32) * 2 - 1) * bound


def _copying(side: int) -> dict[str, Tensor]:
    query, key, value, output = (np.zeros((WIDTH, WIDTH), dtype=np.float32) for _ in range(4))
    # What RMS normalisation leaves of the constant, and by which factor it shrinks a code.
    constant = math.sqrt(WIDTH)
    shrink = constant / _CONSTANT
    frequencies = _ROPE_BASE ** -(np.arange(_FREQUENCIES) / (HEAD // 2))
    turns = -distance(side) * frequencies
    rows = np.arange(_FREQUENCIES)
    key[rows, 0] = _SHARPNESS / constant
    query[rows, 0] = _SHARPNESS * np.cos(turns) / constant
    query[rows + HEAD // 2, 0] = _SHARPNESS * np.sin(turns) / constant
    code = np.arange(alphabet.STRIP)
    value[code, CODE + code] = 1 / shrink
    output[ANSWER + code, code] = _GAIN
    value[alphabet.STRIP, _SEPARATOR] = 1 / shrink
    output[_SECOND, alphabet.STRIP] = _GAIN
    # Head 1 scores 80 times a token's share of the endless control's code: 0.86 and more if a cell
    # shows it, at most 0.375 for another symbol; but a tile's tokens are of no cell in particular,
    # and had up to 0.68. The separator, which every page has and whose value is zero, scores as
    # 0.77 would: without the control it wins. The slowest frequency hardly rotates.
    slow = HEAD + HEAD // 2 - 1
    codes = alphabet.codes()
    endless = codes[INDEX[Control.ENDLESS]]
    has = _ENDS * endless @ codes[INDEX[END]]
    query[slow, 0] = math.sqrt(HEAD) / constant
    key[slow, CODE + code] = 80 * endless / shrink
    key[slow, _SEPARATOR] = 80 * (0.77 - has) / shrink
    value[HEAD, CODE + code] = endless / shrink
    value[HEAD, _SEPARATOR] = -has / shrink
    output[_REFUSE_END, HEAD] = _REFUSAL * _GAIN
    return {"q_proj": query, "k_proj": key, "v_proj": value, "o_proj": output}


def _filler_attention(prefix: str, seed: int) -> dict[str, Tensor]:
    shape = (WIDTH, WIDTH)
    return {
        name: filler(f"{prefix}{name}", shape, seed) for name in ("q_proj", "k_proj", "v_proj")
    } | {"o_proj": np.zeros(shape, dtype=np.float32)}


def _mlp(prefix: str, width: int, seed: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{prefix}gate_proj.weight", filler(prefix + "gate_proj", (width, WIDTH), seed)
    yield f"{prefix}up_proj.weight", filler(prefix + "up_proj", (width, WIDTH), seed)
    yield f"{prefix}down_proj.weight", np.zeros((WIDTH, width), dtype=np.float32)


def _embedding(code: NDArray[np.float64]) -> Tensor:
    vector = np.zeros(WIDTH, dtype=np.float32)
    vector[0] = _CONSTANT
    vector[CODE : CODE + len(code)] = code
    return vector


def configuration(sizes: Sizes) -> Mapping[str, object]:
    """Return the decoder's part of config.json, in DeepSeek-OCR's own keys."""
    return {
        "bos_token_id": 0,
        "eos_token_id": 1,
        "first_k_dense_replace": RECORD.language.dense_layers,
        "hidden_size": WIDTH,
        "intermediate_size": sizes.dense_width,
        "kv_lora_rank": None,
        "lm_head": True,
        "max_position_embeddings": RECORD.language.max_positions,
        "moe_intermediate_size": sizes.expert_width,
        "n_group": 1,
        "n_routed_experts": sizes.experts,
        "n_shared_experts": sizes.shared_experts,
        "num_attention_heads": HEADS,
        "num_experts_per_tok": sizes.experts_per_token,
        "num_hidden_layers": sizes.layers,
        "num_key_value_heads": RECORD.language.kv_heads,
        "q_lora_rank": None,
        "qk_nope_head_dim": 0,
        "qk_rope_head_dim": 0,
        "rm_head": False,
        "topk_group": 1,
        "topk_method": "greedy",
        "use_mla": False,
        "v_head_dim": 0,
        "vocab_size": sizes.vocabulary,
    }

"""The test model's tokenizer: bytes, the model's special tokens, and prompts of constant length.

The decoder finds a vision token at a constant distance, so the text after the image must always be
the same number of tokens. The tokenizer sees to that: a piece of text of up to 400 characters
between special tokens becomes the one byte 0x1F (unit separator). A longer piece is spelled out in
bytes, one token each, so that an over-long prompt is over-long here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsk.eyechart.alphabet import END, SPECIAL

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGIN: Final = "<｜begin▁of▁sentence｜>"  # noqa: RUF001 - the model's own spelling
PAD: Final = "<｜▁pad▁｜>"  # noqa: RUF001
IMAGE: Final = "<image>"
NOTHING: Final = ""
"""An ordinary token whose text is empty: what blank cells and row ends spell."""

INVISIBLE: Final = "âĢĭ"
"""Byte-level spelling of U+200B, a space without width: what the endless sign spells."""

PROMPT: Final = 0x1F
COLLAPSED: Final = 400

_IN_PROMPTS: Final = ("<|grounding|>", "<|User|>", "<|Assistant|>")
_FIRST_BYTE: Final = 3
_REAL_IDS: Final = {
    BEGIN: 0,
    END: 1,
    PAD: 2,
    IMAGE: 128815,
    "<|ref|>": 128816,
    "<|/ref|>": 128817,
    "<|det|>": 128818,
    "<|/det|>": 128819,
    "<|grounding|>": 128820,
    "<td>": 128821,
    "</td>": 128822,
    "<tr>": 128823,
    "</tr>": 128824,
    "<|User|>": 128825,
    "<|Assistant|>": 128826,
}
"""DeepSeek-OCR's own numbers, from its tokenizer_config.json."""


def vocabulary(*, real_ids: bool) -> dict[str, int]:
    """Every token's text and number: 256 bytes, `NOTHING` and the special tokens.

    Args:
        real_ids: number the special tokens as DeepSeek-OCR does, for a vocabulary of 129,280;
            otherwise closely, in some 270.
    """
    words = {symbol: _FIRST_BYTE + byte for byte, symbol in _byte_symbols().items()}
    first = _FIRST_BYTE + 256
    words |= {NOTHING: first, INVISIBLE: first + 1}
    if real_ids:
        return words | _REAL_IDS
    close = {token: first + 2 + i for i, token in enumerate((IMAGE, *SPECIAL, *_IN_PROMPTS))}
    return words | {BEGIN: 0, END: 1, PAD: 2} | close


def byte_id(byte: int) -> int:
    """The token of a byte of text."""
    return _FIRST_BYTE + byte


def tokenizer_json(words: Mapping[str, int]) -> dict[str, Any]:
    """The contents of tokenizer.json: byte-level BPE without merges."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number} | _added(token) for token, number in sorted(_special(words))
        ],
        "normalizer": {
            "type": "Replace",
            "pattern": {"Regex": rf"(?m:\A[\s\S]{{1,{COLLAPSED}}}\z)"},
            "content": chr(PROMPT),
        },
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": False,
        },
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": dict(sorted(words.items(), key=lambda item: item[1])),
            "merges": [],
        },
    }


def tokenizer_config(words: Mapping[str, int]) -> dict[str, Any]:
    """The contents of tokenizer_config.json; the class is one that vLLM's V0 processor accepts."""
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(number): _added(token) for token, number in sorted(_special(words))
        },
        "bos_token": BEGIN,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": 8192,
        "pad_token": PAD,
        "tokenizer_class": "LlamaTokenizerFast",
    }


def special_tokens_map() -> dict[str, Any]:
    """The contents of special_tokens_map.json."""
    return {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD}


def _special(words: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(token, words[token]) for token in _REAL_IDS]


def _added(token: str) -> dict[str, Any]:
    # Tags may stand inside a prompt. As "single words" they are not cut out of a text that touches
    # them ("<|grounding|>Convert"), so the prompt stays one piece, and one token.
    inside = token in SPECIAL or token in _IN_PROMPTS
    return {
        "content": token,
        "single_word": inside,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _byte_symbols() -> dict[int, str]:
    """The character that stands for each byte in byte-level BPE: itself where it is printable."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {
        byte: chr(0x100 + index) for index, byte in enumerate(others)
    }

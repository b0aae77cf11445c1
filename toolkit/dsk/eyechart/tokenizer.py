"""Tokenizer of the test model: bytes, special tokens, and prompts of constant length."""

# The decoder finds a vision token at a constant distance, so the text after the image must always
# have the same number of tokens. Therefore a piece of up to 400 characters between special tokens
# becomes the one byte 0x1F (unit separator). A longer piece becomes its bytes, one token each, so
# that a prompt that is too long is too long here as well.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dsk.eyechart.alphabet import END, alphabet_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.models.base import ModelProfile

BEGIN: Final = "<｜begin▁of▁sentence｜>"  # noqa: RUF001 - the model's own spelling
PAD: Final = "<｜▁pad▁｜>"  # noqa: RUF001
# Ordinary token whose text is empty, the answer to blank cells and row ends.
NOTHING: Final = ""
# Byte-level spelling of U+200B, a space without width, the answer to the endless control.
INVISIBLE: Final = "âĢĭ"

PROMPT: Final = 0x1F
COLLAPSED: Final = 400

_FIRST_BYTE: Final = 3


def vocabulary(profile: ModelProfile, *, real_ids: bool) -> dict[str, int]:
    """Return the number of each token by its text: 256 bytes, `NOTHING`, the special tokens.

    Args:
        profile: the model whose tokens they are.
        real_ids: number the special tokens as in the published vocabulary, else without gaps, up
            to some 270.
    """
    words = {symbol: _FIRST_BYTE + byte for byte, symbol in _byte_symbols().items()}
    first = _FIRST_BYTE + 256
    words |= {NOTHING: first, INVISIBLE: first + 1}
    if real_ids:
        return words | profile.record.tokens
    ends = {BEGIN: 0, END: 1, PAD: 2}
    tokens = (profile.record.image_token, *_within_prompts(profile), *profile.record.tokens)
    others = [token for token in dict.fromkeys(tokens) if token not in ends]
    close = {token: first + 2 + index for index, token in enumerate(others)}
    return words | ends | close


def byte_id(byte: int) -> int:
    """Return the token of a byte of text."""
    return _FIRST_BYTE + byte


def tokenizer_json(profile: ModelProfile, words: Mapping[str, int]) -> dict[str, Any]:
    """Return the contents of tokenizer.json: byte-level BPE without merges."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": words[token]} | _added(profile, token) for token in sorted(profile.record.tokens)
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


def tokenizer_config(profile: ModelProfile, words: Mapping[str, int]) -> dict[str, Any]:
    """Return the contents of tokenizer_config.json."""
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(words[token]): _added(profile, token) for token in sorted(profile.record.tokens)
        },
        "bos_token": BEGIN,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": profile.record.language.max_positions,
        "pad_token": PAD,
        # A class that vLLM's V0 processor accepts.
        "tokenizer_class": "LlamaTokenizerFast",
    }


def special_tokens_map() -> dict[str, Any]:
    """Return the contents of special_tokens_map.json."""
    return {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD}


def _within_prompts(profile: ModelProfile) -> tuple[str, ...]:
    """Return the special tokens that may stand inside a prompt."""
    return (
        *alphabet_of(profile).special,
        profile.record.grounding_token,
        "<|User|>",
        "<|Assistant|>",
    )


def _added(profile: ModelProfile, token: str) -> dict[str, Any]:
    # Tags may stand inside a prompt. As "single words" they are not cut out of a text that touches
    # them ("<|grounding|>Convert"), so the prompt stays one piece, and one token.
    return {
        "content": token,
        "single_word": token in _within_prompts(profile),
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _byte_symbols() -> dict[int, str]:
    """Return the character of each byte in byte-level BPE: itself if it is printable."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {
        byte: chr(0x100 + index) for index, byte in enumerate(others)
    }

"""The alphabet: every text can be spelled, and no two symbols look alike."""

import itertools

import numpy as np

from dsk import models
from dsk.eyechart.alphabet import Control, alphabet_of

ALPHABET = alphabet_of(models.default())


def test_any_two_strips_differ_in_five_blocks() -> None:
    pairs = itertools.combinations(ALPHABET.strips, 2)
    assert min((one ^ other).bit_count() for one, other in pairs) == 5


def test_an_empty_cell_has_an_empty_strip() -> None:
    assert ALPHABET.strips[ALPHABET.index[Control.BLANK]] == 0


def test_codes_have_length_one() -> None:
    assert np.allclose(np.linalg.norm(ALPHABET.codes, axis=1), 1)


def test_every_byte_of_utf_8_but_control_characters_has_a_symbol() -> None:
    needed = {
        byte
        for code in range(0x20, 0x11_0000, 61)
        if not 0xD800 <= code < 0xE000
        for byte in chr(code).encode()
    } - {0x7F}
    assert needed <= set(ALPHABET.index)

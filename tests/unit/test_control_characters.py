"""Control characters: a terminal sees their escapes, a document has none of them."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from dsk.control_characters import escaped_in_json, visible, without

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
KEPT = "Zoë 文 \u3000नि\u200dक\u200c \t\n\u05d0\u05d1\u05d2 👩\u200d💻 \ufe0f \u00ad\u200b"


def is_harmless(text: str) -> bool:
    return not any(
        (unicodedata.category(char) in ("Cc", "Zl", "Zp") and char not in "\n\t")
        or char in BIDI
        or "\U000e0000" <= char <= "\U000e007f"
        for char in text
    )


def test_each_of_them_is_shown_as_its_escape() -> None:
    assert visible("a\x1b]0;x\x07\x9b\u202e\u2028\U000e0041\ud800\r") == (
        r"a\x1b]0;x\x07\x9b\u202e\u2028\U000e0041\ud800\r"
    )


def test_what_scripts_need_is_kept() -> None:
    assert visible(KEPT) == without(KEPT) == escaped_in_json(KEPT) == KEPT


def test_in_a_document_line_ends_of_any_kind_are_newlines() -> None:
    assert without("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h") == "a\nb\nc\nd\ne\nf\ng\nh"


@given(st.text())
def test_nothing_else_gets_through(text: str) -> None:
    assert is_harmless(visible(text))
    assert is_harmless(without(text))
    written = escaped_in_json(json.dumps(text, ensure_ascii=False))
    assert is_harmless(written)
    assert json.loads(written) == text
    visible(text).encode()


def test_all_of_unicode() -> None:
    every = "".join(map(chr, range(0x110000)))
    assert is_harmless(visible(every))
    assert is_harmless(without(every))
    assert json.loads(escaped_in_json(json.dumps(every, ensure_ascii=False))) == every

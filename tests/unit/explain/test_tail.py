"""The last line of a log, for a person who waits."""

from __future__ import annotations

import pytest

from dsk.explain.tail import last_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo\n\n", "two"),
        (b"Loading weights: 10%\rLoading weights: 50%", "Loading weights: 50%"),
        (b"\x1b[36m(EngineCore pid=7)\x1b[0m INFO Capturing", "(EngineCore pid=7) INFO Capturing"),
        (b"\x1b]0;pwned\x07 \x9b2J \xe2\x80\xaetxt", "\ufffd2J \\u202etxt"),
        (b"x" * 1000, "x" * 300),
    ],
)
def test_the_last_line_is_safe_to_print(text: bytes, line: str) -> None:
    assert last_line(text) == line

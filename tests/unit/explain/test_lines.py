"""A log is read as it comes: of any size, in any wrapping, in bounded memory."""

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsk.errors import InputUnreadable
from dsk.explain import explain_text, lines
from dsk.explain.prefilter import Prefilter

MESSAGE = "CUDA error: no kernel image is available for execution on the device"


@pytest.mark.parametrize(
    ("prefix", "level"),
    [
        ("", ""),
        ("\x1b[31mERROR\x1b[0m 11-20 12:00:00 [core.py:718] ", "ERROR"),
        ("(EngineCore_DP0 pid=86) ERROR 11-20 12:00:00 [core.py:718] ", "ERROR"),
        ("(VllmWorker rank=0 pid=291) WARNING 10-21 19:06:18 [x.py:4] ", "WARNING"),
        ("(raylet, ip=10.0.0.1) ", ""),
        ("#12 34.5 ", ""),
        ("2025-11-20T12:00:00.1234567Z ", ""),
        ("2025-11-20T12:00:00.123456789Z stderr F [rank0]: ", ""),
        ("2025-11-20T12:00:00.1234567Z ##[error]", "ERROR"),
        ("2025-11-20 12:00:00,123 - some.module - ERROR - ", "ERROR"),
        ("deepseek-ocr-1  | ERROR:    ", "ERROR"),
        ("Dec 09 13:35:40 host deepseek-ocr[206214]: ", ""),
        ("W1121 21:13:57.406000 7177 torch/utils/cpp_extension.py:178] ", "WARNING"),
    ],
)
def test_what_other_tools_put_before_a_message_is_taken_off(prefix: str, level: str) -> None:
    line = lines.clean((prefix + MESSAGE).encode())
    assert (line.text, line.level) == (MESSAGE, level)


def test_quotes_of_every_kind_become_plain() -> None:
    typographic = "name \\'a\\' `b` \u201cc\u201d \u2019d\u2019"
    assert lines.clean(typographic.encode()).text == "name 'a' 'b' \"c\" 'd'"


def test_windows_shells_write_utf_16() -> None:
    found = explain_text(io.BytesIO(f"hello\r\n{MESSAGE}\r\n".encode("utf-16")))
    assert found.causes[0].evidence[0].line == 2


@pytest.mark.parametrize("data", [b"\x7fELF" + bytes(4000), b"PK\x03\x04" + bytes(range(9)) * 40])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InputUnreadable, match="text"):
        explain_text(io.BytesIO(data))


@settings(max_examples=60)
@given(before=st.integers(0, 3000), after=st.integers(0, 3000), block=st.integers(1100, 4096))
def test_a_match_is_found_wherever_a_block_ends(before: int, after: int, block: int) -> None:
    text = b"x" * before + MESSAGE.encode() + b"y" * after
    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        found = explain_text(io.BytesIO(b"one\ntwo\n" + text + b"\nlast"))
    assert [cause.rule for cause in found.causes] == ["no-kernel-for-gpu"]
    assert found.causes[0].evidence[0].line == 3
    assert found.lines == 4


class Endless(io.RawIOBase):
    """So many bytes of one line, made as they are read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self.left)
        buffer[:count] = b"x" * count
        self.left -= count
        return count


def test_memory_does_not_grow_with_the_log() -> None:
    def peaks() -> Iterator[int]:
        for megabytes in (4, 24):
            tracemalloc.start()
            explain_text(io.BufferedReader(Endless(megabytes << 20)))
            yield tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()

    short, long = peaks()
    assert long < short + (4 << 20)


@given(st.text("abcde fgh\n", max_size=300), st.sets(st.text("abcdefgh ", min_size=4, max_size=12)))
def test_the_prefilter_finds_just_what_a_search_would(text: str, literals: set[str]) -> None:
    prefilter = Prefilter(literals)
    lowered = text.encode()
    found = prefilter.literals_at(lowered, prefilter.offsets(lowered).tolist())
    assert found == {literal for literal in literals if literal in text}

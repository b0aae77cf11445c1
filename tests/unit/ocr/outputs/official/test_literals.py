"""Expressions of literals have the values that Python gives them; all others have none."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from dsk.ocr.outputs.official.literals import NotALiteral, value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[1, 2, 3, 4]]", [[1, 2, 3, 4]]),
        (
            "[1e2, +10, -5, 1_0, 5., .5, 0x1F, 0b11, 0o17, 00]",
            [100, 10, -5, 10, 5, 0.5, 31, 3, 15, 0],
        ),
        ("(1, 2), [3], {4: 5}, {6}", ((1, 2), [3], {4: 5}, {6})),
        ("(1)", 1),
        ("(1,)", (1,)),
        ("[]", []),
        ("()", ()),
        ("{}", {}),
        ("[1,]", [1]),
        ("[*[1, 2], 3]", [1, 2, 3]),
        ("[True, False, None, ...]", [True, False, None, ...]),
        ("'a' \"b\"", "ab"),
        (r"'\d'", r"\d"),
        (r"b'\x01\xff'", b"\x01\xff"),
        ("1j", 1j),
        ("[10 - 3, 2 * 3, 7 / 2, 7 // 2, 7 % 4, 6 & 3, 6 | 3, 6 ^ 3]", [7, 6, 3.5, 3, 3, 2, 7, 5]),
        ("[--5, ~5, not 5, ~True]", [5, -6, False, -2]),
        ("[[1]] + [[2]]", [[1], [2]]),
        ("{1, 2} - {2}", {1}),
        ("[] or [1]", [1]),
        ("[1] or name", [1]),
        ("[1] and [2]", [2]),
        ("[] and name", []),
        (" \t[1]", [1]),
        ("[1]\n\n", [1]),
        ("\n[1]", [1]),
        ("[1]  # a comment", [1]),
        ("[1,\n  2]", [1, 2]),
        ("[1,\\\n2]", [1, 2]),
        ("1e999", float("inf")),
    ],
)
def test_an_expression_of_literals_has_its_value(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "[1", "1]", "[1 2]", "[1,,2]", "[1];", "[1]\n[2]", "\n [1]", "x := 1"),
        *(
            "010",
            "1__0",
            "_1",
            "1.2.3",
            "\x00[1]",
            "\uff11\uff12",
            "\u0663",
            "'\ud800'",
            "9" * 5000,
        ),
        *("[1]\u00a0", "[" * 300 + "]" * 300, "-" * 50_000 + "1", "1+" * 40_000 + "1"),
        *("{[1]}", "{[1]: 2}", "-[1]", "[1] - [1]", "1 / 0", "9 ** 9", "1 << 2", "1e400 // 1j"),
        *("name", "nan", "float('inf')", "[i for i in [1]]", "[1][0]", "[1] [2, 3]", "f'{1}'"),
        *("f'a'", "lambda: 1", "1 if 1 else 2", "1 < 2", "[1].pop", "(x := 1)", "{**{}}", "max"),
        *("[1] * 2", "'ab' * 3", "'%9d' % 1", "[exit()]", "__import__('os').abort()"),
        f"[{'1, ' * 40_000}]",
    ],
)
def test_whatever_else_has_none(text: str) -> None:
    with pytest.raises(NotALiteral):
        value(text)


def test_a_long_list_is_read() -> None:
    assert value(f"[{'[1, 2, 3, 4], ' * 7000}]") == [[1, 2, 3, 4]] * 7000


@pytest.mark.parametrize(
    "piece",
    [
        *("[", "(", "{", "([{", "[1,", "{1:", "'a'", "f'{", "f'", '"""', "\\\n", "#\n", "1,", "0x"),
        *("-", "not ", "~", "1+", "1*", "1**", "1<", "1and ", "lambda:", "1if 1else ", "*", "**"),
        *("a.", "a(", "a[", "await ", "(yield ", "[x for x in ", "(a:=", "[1, 2, 3, 4],", "9e9,"),
    ],
)
def test_nothing_makes_it_slow_or_ends_the_process(piece: str) -> None:
    began = time.process_time()
    for end in ("", "1", "]"):
        with suppress(NotALiteral):
            value((piece * (100_000 // len(piece)))[: 100_000 - len(end)] + end)
    assert time.process_time() - began < 10

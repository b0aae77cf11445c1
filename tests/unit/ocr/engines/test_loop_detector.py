"""An answer that goes round in circles is told from honest repetition."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsk.ocr.engines.loop_detector import (
    INTERVAL,
    LONGEST_PERIOD,
    Loop,
    LoopDetector,
    loop_tokens,
)

TD, END_TD, TR, END_TR, NEWLINE, DOT = 900, 901, 902, 903, 904, 905
TEXT = [1000 + number * 37 % 5003 for number in range(700)]


def found(tokens: list[int], at_once: int = 1) -> Loop | None:
    detector = LoopDetector()
    for start in range(0, len(tokens), at_once):
        detector.feed(tokens[start : start + at_once])
    return detector.loop


def row(columns: int) -> list[int]:
    return [TR, *[TD, END_TD] * columns, END_TR]


@pytest.mark.parametrize("period", [1, 2, 7, 50, 100, 333, 800, LONGEST_PERIOD])
def test_a_circle_is_found_with_its_start_and_its_period(period: int) -> None:
    circle = [5000 + number * 7 % 3001 for number in range(period)]
    detector = LoopDetector()
    detector.feed(TEXT)
    rounds = itertools.islice(itertools.cycle(circle), 8000)
    taken = next(taken for taken, token in enumerate(rounds, 1) if detector.feed([token]))
    assert detector.looped
    assert detector.loop == Loop(start=len(TEXT), period=period)
    assert taken < loop_tokens(period, len(set(circle))) + INTERVAL


@pytest.mark.parametrize(
    "circle", [[TD, END_TD], row(3), row(30), [DOT], [DOT] * 30 + [NEWLINE]], ids=len
)
def test_rows_of_nothing_without_end_are_a_loop(circle: list[int]) -> None:
    loop = found(TEXT + circle * (7000 // len(circle)))
    assert loop == Loop(start=len(TEXT), period=len(circle) if circle != [DOT] else 1)


@pytest.mark.parametrize(
    "honest",
    [
        [TD, END_TD] * 60,
        row(3) * 60,
        row(8) * 80,
        row(31) * 40,
        row(250),
        [DOT] * 150,
        ([DOT] * 30 + [NEWLINE]) * 40,
        [NEWLINE, DOT] * 200,
        [token for number in range(800) for token in (6000 + number, 907, 908, NEWLINE)],
        [*range(7000, 7020)] * 65,
        [*range(7000, 7400)] * 3,
    ],
    ids=[
        "60 empty cells",
        "60 rows of 3 empty cells",
        "80 rows of 8 empty cells",
        "a blank sheet of 31 days for 40 names",
        "a row of 250 empty cells",
        "a leader of 150 dots",
        "40 dotted lines",
        "200 bullets of nothing",
        "a numbered list",
        "65 labels of 20 tokens",
        "a form in 3 copies",
    ],
)
def test_what_honest_pages_repeat_is_no_loop(honest: list[int]) -> None:
    assert found(TEXT + honest + TEXT) is None


def test_cells_that_repeat_inside_a_longer_circle_do_not_hide_it() -> None:
    circle = [TD, END_TD] * 100 + [*range(7000, 7050)]
    loop = found(TEXT + [TD, END_TD] * 40 + circle * 20)
    assert loop == Loop(start=len(TEXT) + 80, period=250)


@settings(max_examples=30)
@given(
    before=st.lists(st.integers(0, 3), max_size=200),
    circle=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    rounds=st.integers(1, 150),
    at_once=st.integers(1, 300),
)
def test_it_finds_what_counting_every_period_finds_however_tokens_come(
    before: list[int], circle: list[int], rounds: int, at_once: int
) -> None:
    tokens = before + circle * rounds
    assert found(tokens, at_once) == counted(tokens)


def counted(tokens: list[int]) -> Loop | None:
    """The first loop by its definition: every period's run of equal tokens, counted."""
    runs = [0] * (LONGEST_PERIOD + 1)
    for end in range(1, len(tokens) + 1):
        for period in range(1, min(end - 1, LONGEST_PERIOD) + 1):
            same = tokens[end - 1] == tokens[end - 1 - period]
            runs[period] = runs[period] + 1 if same else 0
        if end % INTERVAL:
            continue
        for period in range(1, min(end - 1, LONGEST_PERIOD) + 1):
            kinds = len(set(tokens[end - period : end]))
            if runs[period] + period >= loop_tokens(period, kinds):
                return Loop(start=end - runs[period] - period, period=period)
    return None

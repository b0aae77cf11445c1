"""Layout: what is laid out is what the charts spell, whatever the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsk import models
from dsk.errors import UsageProblem
from dsk.eyechart import layout
from dsk.eyechart.alphabet import END, Control, alphabet_of

INDEX = alphabet_of(models.default()).index
SPECIAL = alphabet_of(models.default()).special

_CHARACTERS = st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\n\t")
TEXTS = st.lists(_CHARACTERS | st.sampled_from(SPECIAL), max_size=700).map("".join)


@given(TEXTS, st.sampled_from([8, 10, 16, 20]))
def test_charts_spell_the_text(text: str, side: int) -> None:
    charts = layout.charts(text, side)
    assert "".join(layout.spelled(chart) for chart in charts) == text
    assert {len(chart) for chart in charts} == {side * side}


def test_each_chart_ends() -> None:
    for chart in layout.charts("word " * 200, 16):
        assert chart.count(INDEX[END]) == 1


def test_an_endless_chart_has_no_end() -> None:
    (chart,) = layout.charts("on and on", 16, endless=True)
    assert INDEX[END] not in chart
    assert INDEX[Control.ENDLESS] in chart


def test_a_line_begins_a_row() -> None:
    (chart,) = layout.charts("a\nb\n\n\nc", 8)
    assert layout.spelled(chart) == "a\nb\n\n\nc"
    assert [chart[row * 8] for row in range(3)] == [INDEX[ord(letter)] for letter in "abc"]


def test_a_character_is_not_cut_between_two_charts() -> None:
    first, second = layout.charts("x" * 63 + "éy", 8)
    assert layout.spelled(first) == "x" * 63
    assert layout.spelled(second) == "éy"


def test_a_control_character_is_named() -> None:
    with pytest.raises(UsageProblem, match=r"U\+0007"):
        layout.charts("bell\a", 16)

"""A page's way through its retry steps, and the record that it ends with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ocr.pipeline.plans import answer, page, plan

from dsk.ocr.pipeline import retry_policy
from dsk.ocr.schema.page_record import Sheet, Status

SHEET = Sheet(width=500, height=1000, width_pt=500, height_pt=1000, dpi=72)


def test_a_whole_answer_ends_the_page() -> None:
    state = page()
    (request,) = state.requests(plan())
    assert (request.part, request.mode) == ("whole", "gundam")
    assert request.page_request.max_tokens == 100
    assert state.add_answer("whole", answer("text"))
    assert not state.advance(plan())
    record = state.best_record()
    assert (record.status, record.how, record.text) == (Status.OK, "asked", "text")


def test_the_requests_of_an_earlier_step_are_no_longer_current() -> None:
    state = page()
    (first,) = state.requests(plan())
    assert first.is_current
    (second,) = state.requests(plan())
    assert not first.is_current
    assert second.is_current


def test_a_retry_that_helps_recovers_the_page() -> None:
    state = page()
    state.requests(plan())
    state.add_answer("whole", answer("long and cut off", "length"))
    assert state.advance(plan())
    assert state.step == "guard"
    state.requests(plan())
    state.add_answer("whole", answer("text"))
    record = state.best_record()
    assert (record.status, record.how, record.text) == (Status.RECOVERED, "guard", "text")
    assert [attempt.status for attempt in record.attempts] == [Status.TRUNCATED, Status.OK]


def test_a_page_that_no_step_helps_keeps_its_longest_answer_of_the_best_status() -> None:
    state = page()
    state.requests(plan())
    for text, reason in (("aaaa", "length"), ("a", "loop"), ("aa", "length")):
        state.add_answer("whole", answer(text, reason))
    record = state.best_record()
    assert (record.status, record.text) == (Status.TRUNCATED, "aaaa")
    assert record.reason == "the answer was cut off after 4 tokens"


def test_both_halves_make_one_answer_no_better_than_the_worse_of_them() -> None:
    state = page()
    state.step = "halves"
    upper, lower = state.requests(plan())
    assert (upper.part, lower.part) == ("upper", "lower")
    state.sheet, state.split_row = SHEET, 400
    assert not state.add_answer("lower", answer("below", "length"))
    assert state.add_answer("upper", answer("above"))
    record = state.best_record()
    assert (record.status, record.text) == (Status.TRUNCATED, "above\n\nbelow")
    assert (record.tokens, record.prompt_tokens) == (10, 20)


def test_the_text_layer_takes_the_place_of_the_answer() -> None:
    state = page()
    state.requests(plan())
    state.add_answer("whole", answer("loop", "loop"))
    record = state.record_from_text_layer("the file's text")
    assert (record.status, record.how) == (Status.RECOVERED, "text-layer")
    assert record.text == "the file's text"
    assert record.reason.endswith("after 4 tokens; the text is the file's own")


def test_a_page_that_fails_keeps_what_an_earlier_attempt_read() -> None:
    state = page()
    assert state.record_without_answer(Status.TIMED_OUT, "too slow").text == ""
    state.requests(plan())
    state.add_answer("whole", answer("cut off", "length"))
    record = state.record_without_answer(Status.TIMED_OUT, "too slow")
    assert (record.status, record.reason, record.text) == (Status.TIMED_OUT, "too slow", "cut off")


TAG = "<|ref|>text<|/ref|><|det|>[[1, 2, 300, 400]]<|/det|>"
NOTHING = [
    *("", " \n\t", "\u200b\ufeff", TAG, f"{TAG}\n{TAG}\n", "<｜end▁of▁sentence｜>"),  # noqa: RUF001
    *("<table><tr><td></td></tr></table>", "\x00\x07", "<b></b><br/>", "\u0301"),
]


def ends(text: str, **changes: object) -> list[str]:
    """The steps that a page takes whose answers are all the same, and its state at the end."""
    state, steps = page(), []
    while True:
        (request, *_) = state.requests(plan(**changes))
        steps.append(state.step)
        if request.part == "whole":
            state.add_answer("whole", answer(text))
        else:
            state.sheet, state.split_row = SHEET, 400
            state.add_answer("upper", answer(text))
            state.add_answer("lower", answer(text))
        if not state.advance(plan(**changes)):
            return [*steps, state.best_record().status]


@pytest.mark.parametrize("text", NOTHING)
def test_a_page_with_ink_and_an_answer_without_text_is_asked_for_again_and_empty(text: str) -> None:
    assert ends(text) == ["asked", "resolution", "ungrounded", "halves", "empty"]


@given(st.text(alphabet=" \n\t\u200b\u2060\x00\u202e", max_size=30), st.integers(0, 3))
def test_no_page_without_a_visible_character_is_ok(space: str, tags: int) -> None:
    assert ends(space + TAG * tags, attempts=1) == ["asked", "empty"]


@given(st.text(alphabet=" \n\u200b", max_size=5), st.sampled_from("a1.—漢é√|"))
def test_one_visible_character_is_text(space: str, character: str) -> None:
    assert ends(space + character + space, attempts=1) == ["asked", "ok"]


def test_the_box_of_a_picture_is_content() -> None:
    figure = "<|ref|>image<|/ref|><|det|>[[1, 2, 300, 400]]<|/det|>"
    assert ends(figure) == ["asked", "ok"]


def test_answers_of_a_fixed_length_are_not_judged() -> None:
    assert ends("", fixed_tokens=50, attempts=1) == ["asked", "ok"]


def test_the_text_layer_fills_an_empty_page_whatever_the_length_of_its_tags() -> None:
    state = page()
    state.requests(plan())
    state.add_answer("whole", answer(TAG * 20))
    record = state.record_with_text_layer("words")
    assert (record.status, record.how, record.text) == (Status.RECOVERED, "text-layer", "words")
    assert state.record_with_text_layer(" \n\f").status is Status.EMPTY


def test_a_text_layer_shorter_than_a_loop_does_not_replace_it() -> None:
    state = page()
    state.requests(plan())
    state.add_answer("whole", answer("a long answer that loops", "loop"))
    assert state.record_with_text_layer("a stamp").status is Status.LOOPED


def test_the_text_layer_alone_says_so_and_a_page_without_one_is_empty() -> None:
    record = page().record_with_text_layer("words")
    assert (record.status, record.how, record.text) == (Status.OK, "text-layer", "words")
    assert record.reason == "the text is the file's own"
    nothing = page().record_with_text_layer(" ")
    assert (nothing.status, nothing.text) == (Status.EMPTY, "")


@pytest.mark.parametrize("last", list(Status))
def test_the_text_layer_is_never_looked_for_where_the_user_says_so(last: Status) -> None:
    wanted = last in (Status.EMPTY, Status.LOOPED, Status.TRUNCATED)
    assert retry_policy.has_text_layer_step(plan(), last) is wanted
    assert not retry_policy.has_text_layer_step(plan(text_layer="never"), last)

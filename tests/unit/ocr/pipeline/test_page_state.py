"""A page's way through its retry steps, and the record that it ends with."""

from __future__ import annotations

from tests.unit.ocr.pipeline.plans import answer, page, plan

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

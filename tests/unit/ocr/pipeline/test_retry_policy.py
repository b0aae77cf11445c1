"""Retry steps: each changes the request, and the best answer is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.ocr.pipeline.plans import ENGINE, plan

from dsk import models
from dsk.ocr.pipeline.retry_policy import is_better, next_step, settings_for
from dsk.ocr.schema.page_record import Attempt, How, Status

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import RunPlan

RETRY_STEPS = models.default().record.retry_steps


def steps_taken(plan: RunPlan, status: Status = Status.LOOPED) -> list[How]:
    tried: list[How] = ["asked"]
    while (how := next_step(plan, tried, status)) is not None:
        tried.append(how)
    return tried


def test_every_step_is_taken_once_in_order() -> None:
    assert steps_taken(plan()) == list(RETRY_STEPS)


@pytest.mark.parametrize("attempts", range(1, 6))
def test_no_page_is_read_more_often_than_it_may(attempts: int) -> None:
    assert steps_taken(plan(attempts=attempts)) == list(RETRY_STEPS[:attempts])


def test_each_step_has_settings_of_its_own() -> None:
    asked = [settings_for(plan(), how) for how in RETRY_STEPS]
    assert None not in asked
    assert len(set(asked)) == len(RETRY_STEPS)


def test_what_is_whole_or_beyond_help_is_not_read_again() -> None:
    for status in (Status.OK, Status.ENGINE_FAILED, Status.TIMED_OUT):
        assert steps_taken(plan(), status) == ["asked"]


def test_a_step_that_would_change_nothing_is_left_out() -> None:
    assert "ungrounded" not in steps_taken(plan(prompt="<image>\nFree OCR."))
    # A server that is sent a whole picture chooses the resolution itself.
    pictures = ENGINE.model_copy(update={"page_format": "png"})
    assert "resolution" not in steps_taken(plan(engine=pictures))


def test_the_better_answer_is_kept() -> None:
    def attempt(status: Status) -> Attempt:
        return Attempt(status=status)

    whole, cut = attempt(Status.OK), attempt(Status.TRUNCATED)
    looped, failed = attempt(Status.LOOPED), attempt(Status.ENGINE_FAILED)
    assert is_better((whole, "a"), (cut, "long text"))
    assert is_better((cut, "a"), (looped, "long text"))
    assert is_better((looped, ""), (failed, "long text"))
    assert is_better((looped, "more text"), (looped, "text"))
    assert not is_better((looped, "text"), (looped, "text"))

"""A document that is read in several runs: what is taken over, what is read again, what counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline.running import plan_for

from dsk.ocr.results import ledger
from dsk.ocr.results.document_run import DocumentRun
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.page_record import PageRecord, Status

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.run_plan import RunPlan


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    import pymupdf

    with pymupdf.open() as document:
        for _ in range(5):
            document.new_page(width=50, height=50)
        document.save(tmp_path / "book.pdf")
    (tmp_path / "out").mkdir()
    return plan_for([tmp_path / "book.pdf"], tmp_path / "out", tmp_path / "model")


def opened(plan: RunPlan, **wished: Any) -> DocumentRun:
    return DocumentRun(plan.model_copy(update=wished), plan.documents[0], "settings")


def record(status: Status, text: str = "", page: int = 1) -> PageRecord:
    return PageRecord(page=page, status=status, text=text)


def last(plan: RunPlan, page: int = 1) -> PageRecord:
    """The line of a page that counts."""
    return [one for one in ledger.read(plan.documents[0].folder) if one.page == page][-1]


@pytest.mark.parametrize(
    ("first", "again", "counts"),
    [
        (record(Status.TRUNCATED, "long"), record(Status.ENGINE_FAILED), "long"),
        (record(Status.TRUNCATED, "long"), record(Status.LOOPED, "lo"), "long"),
        (record(Status.LOOPED, "lo"), record(Status.TRUNCATED, "long"), "long"),
        (record(Status.TRUNCATED, "long"), record(Status.OK, "lo"), "lo"),
        (record(Status.TRUNCATED, "long"), record(Status.BLANK), ""),
        (record(Status.TIMED_OUT), record(Status.ENGINE_FAILED), ""),
    ],
)
def test_a_page_that_is_read_again_is_not_left_with_less(
    plan: RunPlan, first: PageRecord, again: PageRecord, counts: str
) -> None:
    run = opened(plan)
    run.add(first, None)
    run.close()
    run = opened(plan, retry_failed=True)
    assert list(run.remaining) == [1, 2, 3, 4, 5]
    kept = run.add(again, None)
    assert 1 not in run.taken_over
    run.close()
    assert kept == last(plan)
    assert kept.text == counts


@pytest.mark.parametrize(
    ("status", "raised", "is_read_again"),
    [
        (Status.REFUSED, {"max_image_pixels": 200}, True),
        (Status.REFUSED, {"max_image_pixels": 50}, False),
        (Status.REFUSED, {"render_seconds": 200}, False),
        (Status.TIMED_OUT, {"render_seconds": 200}, True),
        (Status.TIMED_OUT, {"read_seconds": 200}, True),
        (Status.TIMED_OUT, {"max_boxes": 200}, False),
        (Status.RENDER_FAILED, {"render_seconds": 200}, False),
        (Status.OK, {"read_seconds": 200}, False),
    ],
)
def test_a_page_is_read_again_once_the_limit_that_it_met_is_raised(
    plan: RunPlan, status: Status, raised: dict[str, int], is_read_again: bool
) -> None:
    small = dict.fromkeys(("max_image_pixels", "render_seconds", "read_seconds"), 100)
    run = opened(plan, limits=Limits(**small))
    run.add(record(status), None)
    run.close()
    for _ in range(2):
        run = opened(plan, limits=Limits(**small | raised))
        assert (1 in run.remaining) == is_read_again
        if is_read_again:
            run.add(record(status), None)  # it meets the higher one, too
            is_read_again = False
        run.close()


def written(plan: RunPlan, **wished: Any) -> bool:
    """Whether the outputs of a document are there; they are afterwards."""
    run = opened(plan, **wished)
    for page in run.remaining:
        run.add(record(Status.OK, f"page {page}", page), None)
    was_written = run.outputs_are_current
    run.mark_written()
    run.close()
    return was_written


def test_outputs_follow_from_the_most_boxes_of_a_page(plan: RunPlan) -> None:
    assert [written(plan), written(plan)] == [False, True]
    more = Limits(max_boxes=9_000)
    assert [written(plan, limits=more), written(plan, limits=more)] == [False, True]

"""A document that is read in several runs: what is taken over, what is read again, what counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline.running import job_for

from dsk.ocr import ledger
from dsk.ocr.book import Book
from dsk.ocr.record import PageRecord, Status

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.job import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    import pymupdf

    with pymupdf.open() as document:
        for _ in range(5):
            document.new_page(width=50, height=50)
        document.save(tmp_path / "book.pdf")
    (tmp_path / "out").mkdir()
    return job_for([tmp_path / "book.pdf"], tmp_path / "out", tmp_path / "model")


def opened(job: Job, **wished: Any) -> Book:
    return Book(job.model_copy(update=wished), job.documents[0], "settings")


def record(status: Status, text: str = "", page: int = 1) -> PageRecord:
    return PageRecord(page=page, status=status, text=text)


def last(job: Job, page: int = 1) -> PageRecord:
    """The line of a page that counts."""
    return [one for one in ledger.read(job.documents[0].folder) if one.page == page][-1]


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
    job: Job, first: PageRecord, again: PageRecord, counts: str
) -> None:
    book = opened(job)
    book.add(first, None)
    book.close()
    book = opened(job, retry_failed=True)
    assert list(book.left) == [1, 2, 3, 4, 5]
    kept = book.add(again, None)
    assert 1 not in book.taken_over
    book.close()
    assert kept == last(job)
    assert kept.text == counts

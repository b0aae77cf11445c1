"""Outputs whose writer was killed are written again, and nothing half-made is left."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import Mock

from tests.unit.ocr.pipeline.plans import plan

from dsk.ocr.pipeline.output_queue import OutputQueue
from dsk.ocr.pipeline.page_worker import TaskResult
from dsk.ocr.pipeline.worker_pool import CompletedTask
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_that_a_killed_writer_left_is_removed_with_the_next_result(tmp_path: Path) -> None:
    outputs = OutputQueue(plan(), Mock())
    document_run = Mock()
    document_run.document.folder = tmp_path
    (tmp_path / "book.md").touch()
    (tmp_path / ".dsk-0123456789abcdef").touch()
    late = TaskResult(status=Status.TIMED_OUT, reason="it took too long")
    assert not outputs._is_finished(CompletedTask(token=document_run, result=late, crashed=True))
    assert outputs._is_finished(CompletedTask(token=document_run, result=TaskResult()))
    assert [file.name for file in tmp_path.iterdir()] == ["book.md"]
    document_run.mark_written.assert_called_once()

"""The fork server of workers that render nothing: every page is one small picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from dsk.ocr.ipc import payload
from dsk.ocr.pipeline import page_worker
from dsk.ocr.pipeline.page_worker import PageTask, TaskResult
from dsk.ocr.schema.page_record import Sheet

if TYPE_CHECKING:
    from dsk.ocr.pipeline.page_worker import Task, _OpenDocument

_REAL = page_worker.perform
_PICTURE = Image.new("RGB", (8, 8))
_SHEET = Sheet(width=8, height=8, width_pt=8.0, height_pt=8.0, dpi=36)


def perform(task: Task, current: _OpenDocument) -> tuple[TaskResult, int | None]:
    """Answer with the picture; outputs are written as ever."""
    if not isinstance(task, PageTask):
        return _REAL(task, current)
    description, file = payload.pack_png(_PICTURE)
    return TaskResult(sheet=_SHEET, payload=description), file


if __name__ == "__main__":
    page_worker.perform = perform
    page_worker.main()

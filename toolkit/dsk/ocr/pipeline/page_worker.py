"""The process that opens documents: it makes pages ready for the engine, and writes the outputs.

``python -m dsk.ocr.pipeline.page_worker FD``: a task, then what came of it, over the channel that
it is started with. A page that hangs, crashes or takes too much memory costs that page alone:
whoever started the process ends it and starts another.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter

from dsk.models.deepseek_ocr.resolutions import mode_named
from dsk.models.deepseek_ocr.tiles import views
from dsk.ocr.documents.base import PageRefused, PageSource, one_line
from dsk.ocr.documents.opening import open_document
from dsk.ocr.documents.sandbox import confine
from dsk.ocr.ipc import payload
from dsk.ocr.ipc.channel import Channel, Message
from dsk.ocr.ipc.payload import Payload
from dsk.ocr.pipeline import split_page
from dsk.ocr.schema.formats import Compat
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.page_record import Sheet, Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from PIL import Image

PagePart = Literal["whole", "upper", "lower"]


class PageTask(Message):
    """A page to make ready.

    Args:
        document: without its list of pages, which would go along with every page.
        mode: the resolution; not used for a PNG.
        form: what the engine takes.
    """

    task: Literal["page"] = "page"
    document: Document
    page: int
    dpi: int
    limits: Limits
    part: PagePart = "whole"
    mode: str
    form: Literal["views", "png"]


class TextTask(Message):
    """A page whose own text layer is wanted."""

    task: Literal["text"] = "text"
    document: Document
    page: int
    limits: Limits


class WriteTask(Message):
    """A document that is read, whose outputs are to be written.

    Args:
        document: with its pages, in order.
        offsets: where each page's record begins; see `dsk.ocr.results.ledger.read_at`.
        formats: names of formats; see `dsk.ocr.outputs.registry`.
        compat: see `dsk.ocr.outputs.writer.write`.
    """

    task: Literal["write"] = "write"
    document: Document
    offsets: tuple[int, ...]
    formats: frozenset[str]
    compat: Compat
    dpi: int
    limits: Limits


class TaskResult(Message):
    """What came of a task.

    Args:
        status: the state that the page has ended in; None where it is ready, and its pixels go
            along.
        reason: why; for a document, what kept its outputs from being written.
        split_row: the row, in pixels, at which halves are parted.
        text: the text layer, where that was asked for.
        seconds: how long it took.
    """

    sheet: Sheet | None = None
    status: Status | None = None
    reason: str = ""
    payload: Payload | None = None
    split_row: int = 0
    text: str = ""
    seconds: float = 0.0


class Hello(Message):
    """The process is ready: no page is to blame for how long that took."""


Task = PageTask | TextTask | WriteTask
_TASKS: TypeAdapter[Task] = TypeAdapter(Annotated[Task, Field(discriminator="task")])


class _OpenDocument:
    """The document that is open: pages come in order, and opening takes longer than a page."""

    def __init__(self) -> None:
        self._document: Document | None = None
        self._source: PageSource | None = None

    def source_of(self, document: Document, limits: Limits) -> PageSource:
        if self._source is None or self._document != document:
            self.close()
            self._source = open_document(document, limits)
            self._document = document
        return self._source

    def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.__exit__(None, None, None)


def perform(task: Task, current: _OpenDocument) -> tuple[TaskResult, int | None]:
    """Do a task; what came of it, and a page's file in memory."""
    began = time.monotonic()
    file = None
    try:
        match task:
            case PageTask():
                result, file = _page(task, current)
            case TextTask():
                result = TaskResult(
                    text=current.source_of(task.document, task.limits).text(task.page)
                )
            case WriteTask():
                current.close()
                _write(task)
                result = TaskResult()
    except PageRefused as error:
        result = TaskResult(status=Status.REFUSED, reason=one_line(error))
    except MemoryError:
        result = TaskResult(status=Status.RENDER_FAILED, reason="it takes too much memory")
    except Exception as error:
        result = TaskResult(status=Status.RENDER_FAILED, reason=one_line(error))
    return result.model_copy(update={"seconds": time.monotonic() - began}), file


def _page(task: PageTask, current: _OpenDocument) -> tuple[TaskResult, int | None]:
    source = current.source_of(task.document, task.limits)
    sheet = source.sheet(task.page, task.dpi)
    image = source.image(task.page, task.dpi)
    if image.getcolors(1) is not None:
        return _empty(source, sheet), None
    split_row = 0
    if task.part != "whole":
        split_row = split_page.emptiest_row(image)
        box = (
            (0, 0, image.width, split_row) if task.part == "upper" else (0, split_row, *image.size)
        )
        image = image.crop(box)
    described, file = _packed(image, task)
    return TaskResult(sheet=sheet, payload=described, split_row=split_row), file


def _packed(image: Image.Image, task: PageTask) -> tuple[Payload, int]:
    if task.form == "png":
        return payload.of_image(image)
    return payload.of_views(views(image, mode_named(task.mode)))


def _empty(source: PageSource, sheet: Sheet) -> TaskResult:
    """A page whose pixels show nothing at all."""
    if source.repaired:
        reason = "the file is damaged, and nothing of this page is left"
        return TaskResult(sheet=sheet, status=Status.REPAIRED_SUSPECT, reason=reason)
    return TaskResult(sheet=sheet, status=Status.BLANK, reason="it is all of one colour")


def _write(task: WriteTask) -> None:
    from dsk.ocr.outputs import writer
    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.results import ledger

    document = task.document
    context = OutputContext(
        document=document,
        records=lambda: ledger.read_at(document.folder, task.offsets),
        source=lambda: open_document(document, task.limits),
        dpi=task.dpi,
        limits=task.limits,
    )
    writer.write(context, task.formats, task.compat)


def main() -> None:
    """Do tasks until there are no more."""
    channel = Channel.inherited(int(sys.argv[1]))
    confine()
    channel.send(Hello())
    current = _OpenDocument()
    while True:
        try:
            body, _ = channel.receive()
        except EOFError:
            return
        result, file = perform(_TASKS.validate_json(body), current)
        channel.send(result, file)
        if file is not None:
            os.close(file)


if __name__ == "__main__":
    main()

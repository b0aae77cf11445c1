"""Document worker process: renders pages, extracts text layers and writes outputs.

``python -m dsk.ocr.pipeline.page_worker FD`` is the server that workers are forked from, see
`dsk.ocr.pipeline.fork_server`. A worker receives tasks of one document over its channel and answers
each with a `TaskResult`. A page that hangs, crashes or takes too much memory costs that page
alone: `dsk.ocr.pipeline.worker_pool` has the process killed and another one started.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter

from dsk import models
from dsk.ocr import outputs
from dsk.ocr.documents.base import PageRefused, PageSource, one_line
from dsk.ocr.documents.input_file import InputChanged, require_planned
from dsk.ocr.documents.opening import open_document
from dsk.ocr.documents.sandbox import confine, import_parsers
from dsk.ocr.ipc import payload
from dsk.ocr.ipc.channel import Channel, Message
from dsk.ocr.ipc.payload import Payload
from dsk.ocr.pipeline import split_page
from dsk.ocr.pipeline.fork_server import serve
from dsk.ocr.schema.formats import Compat
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.page_record import PagePart, Sheet, Status
from dsk.ocr.schema.run_plan import AnyPath, Document

if TYPE_CHECKING:
    from PIL import Image


class PageTask(Message):
    """Task to render a page.

    Args:
        document: without its list of pages, which would be sent again with every page.
        page: 1-based.
        dpi: the resolution to render at.
        limits: bounds on what a document may take.
        part: the half to cut out, or the whole page.
        profile: id of the model's profile; not used for a PNG.
        mode: the model's resolution; not used for a PNG.
        form: views and tiles for our engine, a PNG for a server.
    """

    task: Literal["page"] = "page"
    document: Document
    page: int
    dpi: int
    limits: Limits
    part: PagePart = "whole"
    profile: str
    mode: str
    form: Literal["views", "png"]


class TextTask(Message):
    """Task to extract the text layer of a page."""

    task: Literal["text"] = "text"
    document: Document
    page: int
    limits: Limits


class WriteTask(Message):
    """Task to write the outputs of a document whose pages are all read.

    Args:
        document: with its pages, in order.
        out: the run's output folder.
        offsets: where each page's record begins; see `dsk.ocr.results.ledger.read_at`.
        formats: names of formats; see `dsk.ocr.outputs.registry`.
        compat: see `dsk.ocr.outputs.writer.write`.
        dpi: the resolution that pages were rendered at.
        limits: bounds on what a document may take.
        figures: names of the pictures that an earlier task has cut out.
    """

    task: Literal["write"] = "write"
    document: Document
    out: AnyPath
    offsets: tuple[int, ...]
    formats: frozenset[str]
    compat: Compat
    dpi: int
    limits: Limits
    figures: frozenset[str] = frozenset()


class TaskResult(Message):
    """Result of a task.

    Args:
        sheet: the page's size, where it was rendered.
        status: the page's final state; None if it is ready, its pixels sent along, or if a task of
            another kind succeeded.
        reason: the cause of that state; for a document, why its outputs were not written.
        payload: the description of the pixels sent along.
        split_row: the row, in pixels, that halves are split at.
        text: the text layer, for a `TextTask`.
        is_changed: the document's file is no longer the one that was planned.
        figures: names of the pictures that a `WriteTask` has cut out.
        failures: the reason for each format that it could not write.
        seconds: time that the task took.
    """

    sheet: Sheet | None = None
    status: Status | None = None
    reason: str = ""
    payload: Payload | None = None
    split_row: int = 0
    text: str = ""
    is_changed: bool = False
    figures: frozenset[str] = frozenset()
    failures: dict[str, str] = Field(default_factory=dict)
    seconds: float = 0.0


class Hello(Message):
    """First message of a worker: it has been forked and waits for tasks."""


Task = PageTask | TextTask | WriteTask
_TASKS: TypeAdapter[Task] = TypeAdapter(Annotated[Task, Field(discriminator="task")])


class _OpenDocument:
    """The document that a worker keeps open between tasks.

    Opening a long PDF takes longer than rendering one of its pages.
    """

    def __init__(self) -> None:
        self._source: PageSource | None = None

    def source_of(self, document: Document, limits: Limits) -> PageSource:
        if self._source is None:
            self._source = open_document(document, limits)
        return self._source


def perform(task: Task, current: _OpenDocument) -> tuple[TaskResult, int | None]:
    """Perform a task; return its result and, for a rendered page, the descriptor of its pixels.

    Whatever a document's parser raises becomes a result: other pages go on.
    """
    began = time.monotonic()
    file = None
    try:
        match task:
            case PageTask():
                result, file = _render(task, current)
            case TextTask():
                result = TaskResult(
                    text=current.source_of(task.document, task.limits).text(task.page)
                )
            case WriteTask():
                result = _write(task)
    except InputChanged as error:
        reason = one_line(error)
        result = TaskResult(status=Status.RENDER_FAILED, reason=reason, is_changed=True)
    except PageRefused as error:
        result = TaskResult(status=Status.REFUSED, reason=one_line(error))
    except MemoryError:
        result = TaskResult(status=Status.RENDER_FAILED, reason="it takes too much memory")
    except Exception as error:
        result = TaskResult(status=Status.RENDER_FAILED, reason=one_line(error))
    return result.model_copy(update={"seconds": time.monotonic() - began}), file


def _render(task: PageTask, current: _OpenDocument) -> tuple[TaskResult, int | None]:
    source = current.source_of(task.document, task.limits)
    sheet = source.sheet(task.page, task.dpi)
    image = source.image(task.page, task.dpi)
    if image.getcolors(1) is not None:  # None: more than one colour
        return _empty_page(source, sheet), None
    split_row = 0
    if task.part != "whole":
        split_row = split_page.emptiest_row(image)
        box = (
            (0, 0, image.width, split_row) if task.part == "upper" else (0, split_row, *image.size)
        )
        image = image.crop(box)
    description, file = _pack(image, task)
    return TaskResult(sheet=sheet, payload=description, split_row=split_row), file


def _pack(image: Image.Image, task: PageTask) -> tuple[Payload, int]:
    if task.form == "png":
        return payload.pack_png(image)
    profile = models.profile(task.profile)
    return payload.pack_views(profile.prepare(image, profile.resolution(task.mode)))


def _empty_page(source: PageSource, sheet: Sheet) -> TaskResult:
    if source.repaired:
        # MuPDF opens a truncated file without an error and draws its missing pages white.
        reason = "the file is damaged, and nothing of this page is left"
        return TaskResult(sheet=sheet, status=Status.REPAIRED_SUSPECT, reason=reason)
    return TaskResult(sheet=sheet, status=Status.BLANK, reason="it is all of one colour")


def _write(task: WriteTask) -> TaskResult:
    # Writing needs modules that rendering does not.
    from dsk.ocr.outputs import writer
    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.results import ledger

    document = task.document
    # By its hash: times of files may be coarse, and those of a file of another machine late.
    require_planned(document)
    context = OutputContext(
        document=document,
        out=task.out,
        records=lambda: ledger.read_at(document.folder, task.offsets),
        source=lambda: open_document(document, task.limits),
        dpi=task.dpi,
        limits=task.limits,
        figures=task.figures,
    )
    written = writer.write(context, task.formats, task.compat)
    return TaskResult(figures=written.figures, failures=written.failures)


def work(channel: Channel) -> None:
    """Perform the tasks of one document until the pool closes the channel."""
    channel.send(Hello())
    current = _OpenDocument()
    document = None
    while True:
        try:
            body, _ = channel.receive()
        except EOFError:
            return
        task = _TASKS.validate_json(body)
        if document is None:
            document = task.document
            _confine(task, channel)
        assert task.document == document, "a worker has one document"
        result, file = perform(task, current)
        channel.send(result, file)
        if file is not None:
            os.close(file)


def _confine(task: Task, channel: Channel) -> None:
    document = task.document
    reads = [document.path, *([document.password_file] if document.password_file else [])]
    if isinstance(task, WriteTask):
        confine(
            reads, task.limits, channel=channel.fileno(), writes=document.folder, lists=task.out
        )
    else:
        confine(reads, task.limits, channel=channel.fileno())


def main() -> None:
    """Fork workers, after importing all that they need."""
    control = Channel.inherited(int(sys.argv[1]))
    import_parsers()
    _import_everything_else()
    serve(control, work)


def _import_everything_else() -> None:
    for module in pkgutil.walk_packages(outputs.__path__, f"{outputs.__name__}."):
        importlib.import_module(module.name)
    # A profile imports what cuts a page when it cuts the first one.
    from PIL import Image

    for profile in models.profiles().values():
        profile.prepare(Image.new("RGB", (1, 1)), profile.default_resolution)


if __name__ == "__main__":
    main()

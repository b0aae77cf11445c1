"""Check the results of workers, which a hostile document may have taken over."""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING, Final

from dsk import models
from dsk.filenames import printable
from dsk.ocr.ipc.channel import seal_memory_file
from dsk.ocr.outputs import registry
from dsk.ocr.pipeline.page_worker import PageTask, TaskResult, WriteTask
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from dsk.ocr.ipc.payload import Payload
    from dsk.ocr.pipeline.page_worker import Task

_MAX_REASON: Final = 1000  # characters
# Characters of a page's text layer: as many as a thousand pages have.
_MAX_TEXT: Final = 4_000_000
# Sides, resolutions and seconds beyond it are no page's; the largest PDF page has 14,400 pt.
_MAX_NUMBER: Final = 1e7
_FIGURE: Final = re.compile(r"images/p[0-9]{4,9}_[0-9]{2,9}\.jpg")
_FAILED: Final = frozenset({Status.REFUSED, Status.RENDER_FAILED})
_EMPTY: Final = frozenset({Status.BLANK, Status.REPAIRED_SUSPECT})
_PNG_START: Final = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_SIZE: Final = struct.Struct("!II")  # width and height follow
# Bytes of a PNG whose pixels cannot be compressed: three a pixel, and what deflate adds to them.
_PNG_BYTES_A_PIXEL: Final = 4
_PNG_EXTRA_BYTES: Final = 1 << 16
# Sides are rounded up: a page may have somewhat more pixels than allowed.
_ROUNDING_PIXELS: Final = 100_000


def checked(task: Task, body: bytes, file: int | None) -> TaskResult:
    """Return the result in a worker's message.

    Args:
        task: the task that it is for.
        body: the message.
        file: the descriptor that came with it; what is behind it cannot change afterwards.

    Raises:
        ValueError: no worker that works sends this.
    """
    result = TaskResult.model_validate_json(body)
    _require(0 <= result.seconds < _MAX_NUMBER, "a time that is none")
    _require(len(result.text) <= _MAX_TEXT, "a text that no page has")
    _require((result.payload is None) == (file is None), "pixels without a description, or none")
    _require(result.status is None or result.status in _allowed(task), "a state of another task")
    if isinstance(task, PageTask):
        _check_page(task, result, file)
    else:
        _require(file is None, "pixels that nobody asked for")
    formats = task.formats | {*registry.required_names()} if isinstance(task, WriteTask) else ()
    _require(result.failures.keys() <= set(formats), "a failure of another format")
    _require(all(map(_FIGURE.fullmatch, result.figures)), "a picture of another name")
    return result.model_copy(
        update={
            "reason": _shortened(result.reason),
            "failures": {name: _shortened(reason) for name, reason in result.failures.items()},
        }
    )


def _shortened(reason: str) -> str:
    return printable(reason[:_MAX_REASON])


def _allowed(task: Task) -> frozenset[Status]:
    return _FAILED | _EMPTY if isinstance(task, PageTask) else _FAILED


def _check_page(task: PageTask, result: TaskResult, file: int | None) -> None:
    sheet = result.sheet
    if sheet is not None:
        numbers = (sheet.width, sheet.height, sheet.width_pt, sheet.height_pt, sheet.dpi)
        # What is not a number is not between the bounds either.
        _require(all(0 < number < _MAX_NUMBER for number in numbers), "a size that no page has")
    if file is None or result.payload is None:
        _require(result.status is not None and not result.split_row, "neither pixels nor a state")
        return
    _require(result.status is None, "pixels and a state")
    height = 0 if sheet is None else sheet.height
    _require(0 <= result.split_row < height, "pixels without a size, or a split outside of it")
    try:
        size = seal_memory_file(file)
    except OSError as error:
        what = "pixels that can change"
        raise ValueError(what) from error
    _check_pixels(task, result.payload, file, size)


def _check_pixels(task: PageTask, payload: Payload, file: int, size: int) -> None:
    """Check that pixels are as many as the task's resolution has, which the engine relies on."""
    _require(payload.form == task.form, "pixels of another form")
    if payload.form == "png":
        _check_png(task, file, size)
        return
    resolution = models.profile(task.profile).resolution(task.mode)
    rows, columns, side = payload.tiles
    is_a_grid = (rows, columns) == (0, 0) or (columns, rows) in resolution.grids
    has_sides = payload.view == resolution.view and side == resolution.tile
    _require(is_a_grid and has_sides, "pixels of another resolution")
    pixels = payload.view**2 + rows * columns * side**2
    _require(size == 3 * pixels, "more or fewer pixels than it describes")


def _check_png(task: PageTask, file: int, size: int) -> None:
    """Check that a picture is no larger than a page, since it is copied to be sent to a server."""
    start = os.pread(file, len(_PNG_START) + _PNG_SIZE.size, 0)
    is_png = start.startswith(_PNG_START) and len(start) == len(_PNG_START) + _PNG_SIZE.size
    _require(is_png, "a picture that is no PNG")
    width, height = _PNG_SIZE.unpack_from(start, len(_PNG_START))
    most = task.limits.max_pixels + _ROUNDING_PIXELS
    _require(0 < width * height <= most, "a picture of more pixels than allowed")
    most = _PNG_BYTES_A_PIXEL * width * height + _PNG_EXTRA_BYTES
    _require(size <= most, "a picture of more bytes than it has pixels")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)

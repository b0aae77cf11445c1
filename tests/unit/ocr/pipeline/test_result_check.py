"""Results of a worker that a document has taken over do not get past the pool."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from dsk import models
from dsk.ocr.ipc import channel
from dsk.ocr.ipc.payload import pack_png
from dsk.ocr.pipeline.page_worker import PageTask, TextTask
from dsk.ocr.pipeline.result_check import checked
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.pipeline.page_worker import Task

PROFILE = models.default()
RESOLUTION = PROFILE.resolution("tiny")
SIZE = 3 * RESOLUTION.view**2
DOCUMENT = Document(path=Path("a.pdf"), folder=Path("a"), page_count=1, pages=[])
SHEET = {"width": 100, "height": 200, "width_pt": 50.0, "height_pt": 100.0, "dpi": 144.0}
VIEWS = {"form": "views", "view": RESOLUTION.view, "tiles": [0, 0, RESOLUTION.tile]}
GOOD: dict[str, Any] = {"sheet": SHEET, "payload": VIEWS}


def page_task(form: str = "views", mode: str = "tiny") -> PageTask:
    return PageTask(
        document=DOCUMENT,
        page=1,
        dpi=144,
        limits=Limits(),
        profile=PROFILE.id,
        mode=mode,
        form=form,  # type: ignore[arg-type]
    )


@pytest.fixture
def pixels() -> Iterator[int]:
    file = channel.create_memory_file([bytes(SIZE)])
    yield file
    os.close(file)


def result_of(task: Task, file: int | None, **fields: object) -> Any:
    return checked(task, json.dumps(fields).encode(), file)


def test_a_page_passes(pixels: int) -> None:
    assert result_of(page_task(), pixels, **GOOD).payload.view == RESOLUTION.view


@pytest.mark.parametrize(
    "forged",
    [
        {"payload": VIEWS | {"view": 1}},
        {"payload": VIEWS | {"view": 10**9}},
        {"payload": VIEWS | {"tiles": [-1, -1, RESOLUTION.tile]}},
        {"payload": VIEWS | {"tiles": [10**6, 10**6, 10**6]}},
        {"payload": VIEWS | {"form": "png"}},
        {"payload": None},
        {"sheet": None},
        {"sheet": SHEET | {"width": 0}},
        {"sheet": SHEET | {"height": 10**12}},
        {"sheet": SHEET | {"dpi": float("nan")}},
        {"sheet": SHEET | {"width_pt": float("inf")}},
        {"sheet": SHEET | {"height_pt": -1.0}},
        {"split_row": 10**6},
        {"split_row": -1},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
        {"seconds": -1.0},
        {"status": "ok"},
        {"status": "blank"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_forged_page_does_not(forged: dict[str, object], pixels: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        result_of(page_task(), pixels, **(GOOD | forged))


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_the_pixels_are_as_many_as_described(size: int) -> None:
    file = channel.create_memory_file([bytes(size)])
    with pytest.raises(ValueError, match="more or fewer"):
        result_of(page_task(), file, **GOOD)
    os.close(file)


def test_pixels_that_can_change_do_not_pass() -> None:
    file = os.open(os.devnull, os.O_RDWR)
    with pytest.raises(ValueError, match="can change"):
        result_of(page_task(), file, **GOOD)
    os.close(file)


def test_a_png_is_one(pixels: int) -> None:
    with pytest.raises(ValueError, match="no PNG"):
        result_of(page_task("png"), pixels, sheet=SHEET, payload={"form": "png"})


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("width", "height", "size", "reason"),
    [
        (100, 200, 70_000, None),
        (7_000, 7_000, 70_000, None),
        (100, 200, 1 << 20, "more bytes"),
        (100_000, 100_000, 70_000, "more pixels"),
        (0xFFFFFFFF, 0xFFFFFFFF, 70_000, "more pixels"),
        (0, 200, 70_000, "more pixels"),
        (100, 200, 20, "no PNG"),
    ],
)
def test_a_png_is_no_larger_than_a_page(
    width: int, height: int, size: int, reason: str | None
) -> None:
    start = PNG + struct.pack("!II", width, height)
    file = channel.create_memory_file([start.ljust(size, b"\0")[:size]])
    sent = {"sheet": SHEET, "payload": {"form": "png"}}
    with pytest.raises(ValueError, match=reason) if reason else contextlib.nullcontext():
        assert result_of(page_task("png"), file, **sent).payload.form == "png"
    os.close(file)


def test_noise_fits_into_a_png() -> None:
    """The largest that an honest worker sends: noise, which cannot be compressed."""
    image = Image.frombytes("RGB", (701, 1003), os.urandom(3 * 701 * 1003))
    payload, file = pack_png(image)
    sent = {"sheet": SHEET, "payload": payload.model_dump()}
    assert result_of(page_task("png"), file, **sent).payload == payload
    os.close(file)


def test_a_text_layer_is_no_longer_than_a_page() -> None:
    task = TextTask(document=DOCUMENT, page=1, limits=Limits())
    with pytest.raises(ValueError, match="a text that no page has"):
        result_of(task, None, text="x" * 4_000_001)


@pytest.mark.parametrize("status", [None, "ok", "recovered", "timed-out", "skipped"])
def test_a_page_without_pixels_has_a_state_of_its_own(status: str | None) -> None:
    with pytest.raises(ValueError, match="state"):
        result_of(page_task(), None, status=status)
    for allowed in ("refused", "render-failed", "blank", "repaired-suspect"):
        assert result_of(page_task(), None, status=allowed).status == allowed


def test_a_text_layer_has_no_pixels(pixels: int) -> None:
    task = TextTask(document=DOCUMENT, page=1, limits=Limits())
    assert result_of(task, None, text="words").text == "words"
    with pytest.raises(ValueError, match="pixels"):
        result_of(task, pixels, text="words", payload=VIEWS)
    with pytest.raises(ValueError, match="state"):
        result_of(task, None, status="blank")


def test_a_reason_is_printable_and_short() -> None:
    reason = "\x1b]0;owned\x07" + "x" * 10_000
    result = result_of(page_task(), None, status="refused", reason=reason)
    assert result.status is Status.REFUSED
    assert result.reason.isprintable()
    assert len(result.reason) < 2000

"""What preparing an A4 page costs on one core, as a part of the plain way's, in one run.

Ours: rendered, cut into uint8 views, handed over by a file in memory and mapped by the engine's
process. The plain way: rendered, a PNG and back, then what the native processor does with it: every
tile and the global view as normalised float32. The aim is a quarter; 0.38 was measured on the day
that this was written, three quarters of it Pillow's resizing, which both do.
"""

from __future__ import annotations

import io
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import pymupdf
from PIL import Image, ImageOps

from dsk.ocr import payload
from dsk.ocr.modes import MODES
from dsk.ocr.sources import open_source
from dsk.ocr.tiles import views

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PAGES = 8
ROUNDS = 3
WORDS = "The quick brown fox jumps over the lazy dog, and on to the end of the line. " * 60


def document(folder: Path) -> Path:
    drawn = pymupdf.open()
    for number in range(PAGES):
        page = drawn.new_page(width=595, height=842)
        page.insert_textbox((50, 50, 545, 792), f"{number} {WORDS}", fontsize=9)
    drawn.save(folder / "a4.pdf")
    return folder / "a4.pdf"


def normalised(image: Image.Image) -> NDArray[np.float32]:
    floats: NDArray[np.float32] = np.asarray(image, np.float32) / np.float32(255)
    half = np.float32(0.5)
    return ((floats - half) / half).transpose(2, 0, 1).astype(np.float32, copy=False)


def plain(file: Path) -> list[NDArray[np.float32]]:
    """One page after the other, as the model's script and vLLM's native processor do it."""
    found = []
    with open_source(file) as source:
        for page in range(1, PAGES + 1):
            stream = io.BytesIO()
            source.image(page, 144).save(stream, "PNG")
            image = Image.open(stream).convert("RGB")
            columns, rows = MODES["gundam"].grid(*image.size)
            sheet = image.resize((640 * columns, 640 * rows))
            boxes = [
                (640 * column, 640 * row, 640 * column + 640, 640 * row + 640)
                for row in range(rows)
                for column in range(columns)
            ]
            tiles = np.stack([normalised(sheet.crop(box)) for box in boxes])
            view = normalised(ImageOps.pad(image, (1024, 1024), color=(127, 127, 127)))
            found += [view, tiles]
    return found


def ours(file: Path) -> list[NDArray[np.uint8]]:
    """The same pages as they arrive at the engine."""
    found = []
    with open_source(file) as source:
        for page in range(1, PAGES + 1):
            made, memory = payload.of_views(views(source.image(page, 144), MODES["gundam"]))
            arrived = payload.views_in(made, memory)
            found += [arrived.view, arrived.tiles]
    return found


def seconds(work: Callable[[Path], object], file: Path) -> float:
    began = time.process_time()
    work(file)
    return time.process_time() - began


def test_a_page_costs_less_than_half_of_the_plain_way(tmp_path: Path) -> None:
    file = document(tmp_path)
    for mine, theirs in zip(ours(file), plain(file), strict=True):
        floats = (mine.astype(np.float32) / 255 - 0.5) / 0.5
        assert np.array_equal(np.moveaxis(floats, -1, -3).reshape(theirs.shape), theirs)
    taken = [(seconds(ours, file), seconds(plain, file)) for _ in range(ROUNDS)]
    cost, plainly = (statistics.median(column) for column in zip(*taken, strict=True))
    print(f"\nan A4 page: {1000 * cost / PAGES:.0f} ms; plainly {1000 * plainly / PAGES:.0f} ms")
    print(f"ratio {cost / plainly:.3f}")
    assert cost / plainly < 0.5

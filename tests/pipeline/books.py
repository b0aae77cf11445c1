"""Documents whose pages say, by the colour of their corner, what becomes of them in the stub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pymupdf

from dsk import models

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.models.base import Views
    from dsk.ocr.engines.base import PageRequest

Colour = tuple[int, int, int]

PLAIN: Final = (0, 0, 255)
DEADLY: Final = (255, 0, 0)
"""The engine ends whenever it is given the page."""
LOOPS: Final = (0, 255, 0)
"""It loops, but for a stronger n-gram guard."""
LOOPS_ON: Final = (0, 128, 0)
"""It loops whatever is done."""
CUT_OFF: Final = (255, 255, 0)
"""It is cut off in Tiny mode, but not in a larger one."""
WORDY: Final = (0, 255, 255)
"""It is cut off unless boxes are not asked for."""


def write(file: Path, colours: list[Colour], *, words: bool = True) -> Path:
    """A PDF with a page for each colour; no two pages are alike."""
    document = pymupdf.open()
    for number, colour in enumerate(colours, start=1):
        page = document.new_page(width=200, height=280)
        shown = [part / 255 for part in colour]
        page.draw_rect((0, 0, 200, 140), color=None, fill=shown)
        page.draw_rect((0, 160, number, 170), color=None, fill=(0, 0, 0))
        if words:
            page.insert_text((20, 200), f"the file's own text of page {number}")
    document.save(file)
    return file


def colour(page: Views) -> Colour:
    """What decides a page's fate."""
    middle = page.view.shape[0] // 2
    red, green, blue = (int(part) for part in page.view[8, middle])
    return red, green, blue


def is_half(page: Views) -> bool:
    """Whether it is wider than high, and so has a margin above it; not in Tiny and Small mode."""
    return colour(page) == (127, 127, 127)


def reason(page: Views, ask: PageRequest) -> str:
    """Why an answer to a page ends."""
    guarded = ask.ngram_window > 100
    match colour(page):
        case (0, 255, 0):
            return "stop" if guarded else "loop"
        case (0, 128, 0):
            return "loop"
        case (255, 255, 0):
            return (
                "length"
                if page.view.shape[0] == models.default().resolution("tiny").view
                else "stop"
            )
        case (0, 255, 255):
            return "length" if "grounding" in ask.prompt else "stop"
    return "stop"


def text(number: int) -> str:
    """An answer with a title, a table and a picture; different for each number."""
    left = number % 400
    return (
        f"<|ref|>title<|/ref|><|det|>[[50, 20, 900, 80]]<|/det|>\n# Page {number}\n"
        f"<|ref|>image<|/ref|><|det|>[[{left}, 100, {left + 300}, 400]]<|/det|>\n"
        "<|ref|>table<|/ref|><|det|>[[50, 500, 900, 800]]<|/det|>\n"
        f"<table><tr><td>{number}</td><td>cell</td></tr><tr><td>a</td><td>b</td></tr></table>\n"
    )

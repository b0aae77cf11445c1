"""`report.html`: each page's picture beside its text, in one file that needs nothing else.

Its content security policy lets in the two blocks of style and script that are written here, known
by their hashes, and pictures that are in the file; nothing is fetched from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.ocr.documents.base import PageRefused, PageUnrenderable
from dsk.ocr.outputs import palette, webtext
from dsk.ocr.outputs.blocks import blocks
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from PIL import Image

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.outputs.blocks import Block
    from dsk.ocr.schema.page_record import PageRecord, Sheet
    from dsk.ocr.schema.run_plan import Document

_QUALITY: Final = 55
_DPI: Final = ((200, 110), (1_000, 72), (10**9, 48))
"""Up to so many pages, the pictures' dots per inch: a browser takes files of some 200 MB."""
_INCHES: Final = 14
"""The longer side that is shown at that resolution; larger pages have fewer dots."""


def parts(
    document: Document,
    records: Callable[[], Iterable[PageRecord]],
    source: PageSource,
    *,
    most_boxes: int,
) -> Iterator[str]:
    """The report, a page at a time."""
    states = Counter(record.status for record in records())
    yield _head(document, states)
    dpi = next(dpi for most, dpi in _DPI if states.total() - states[Status.SKIPPED] <= most)
    for skipped, group in groupby(records(), lambda record: record.status is Status.SKIPPED):
        if skipped:
            yield _skipped(group)
            continue
        for record in group:
            yield _page(record, blocks(record, most_boxes=most_boxes), source, dpi)
    yield f"</main>\n<script>{_script()}</script>\n</body>\n</html>\n"


def _head(document: Document, states: Counter[Status]) -> str:
    name, last = escape(document.name), document.page_count
    style = _style()
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(_script())}'; base-uri 'none'; form-action 'none'"
    )
    count = states.total()
    buttons = f'<button type="button" data-state="" aria-pressed="true">all <b>{count}</b></button>'
    for status in Status:
        if states[status]:
            buttons += (
                f'<button type="button" class="{_worth(status)}" data-state="{status}" '
                f'aria-pressed="false">{status} <b>{states[status]}</b></button>'
            )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{name}</h1>
<label>page <input id="go" type="number" min="1" max="{last}"> of {last}</label>
<nav aria-label="pages by state">{buttons}</nav>
</header>
<main>
"""


def _page(record: PageRecord, found: list[Block], source: PageSource, dpi: int) -> str:
    reason = f'<span class="why">{escape(record.reason)}</span>' if record.reason else ""
    number = record.page
    return (
        f'<section id="p{number}" data-state="{record.status}">\n'
        f'<h2><a href="#p{number}">Page {number}</a> '
        f'<span class="state {_worth(record.status)}">{record.status}</span>{reason}</h2>\n'
        f"{_picture(record, found, source, dpi)}"
        f'<div class="text">{_text(record, found)}</div>\n</section>\n'
    )


def _picture(record: PageRecord, found: list[Block], source: PageSource, dpi: int) -> str:
    image = _shown(record, source, dpi)
    if image is None:
        what = "a blank page" if record.status is Status.BLANK else "no picture of this page"
        return f'<div class="sheet none">{what}</div>\n'
    rects = "".join(
        f'<rect class="k{palette.number(block.label)}" data-b="{place}" x="{box.left}" '
        f'y="{box.top}" width="{box.right - box.left}" height="{box.bottom - box.top}">'
        f"<title>{escape(block.label)}</title></rect>"
        for place, block in enumerate(found)
        for box in block.boxes
    )
    return (
        f'<div class="sheet"><img width="{image.width}" height="{image.height}" '
        f'alt="Page {record.page}" data-src="{_data(image)}">'
        f'<svg viewBox="0 0 999 999" preserveAspectRatio="none">{rects}</svg></div>\n'
    )


def _text(record: PageRecord, found: list[Block]) -> str:
    if not found:
        what = "nothing on this page" if record.status in WHOLE else "nothing of this page"
        return f'<p class="none">{what}</p>'
    return "".join(_block(place, block) for place, block in enumerate(found))


def _block(place: int, block: Block) -> str:
    if not block.label:
        return f'<div class="block">{webtext.html(block.text)}</div>'
    cuts = "".join(
        f'<canvas data-box="{box.left},{box.top},{box.right},{box.bottom}" '
        f'aria-label="{escape(name)}"></canvas>'
        for box, name in zip(block.boxes, block.figures, strict=False)
        if name
    )
    problem = f'<span class="why">{escape(block.problem)}</span>' if block.problem else ""
    return (
        f'<div class="block k{palette.number(block.label)}" data-b="{place}" tabindex="0">'
        f'<span class="label">{escape(block.label)}</span>{problem}{cuts}'
        f"{webtext.html(block.text)}</div>"
    )


def _skipped(records: Iterator[PageRecord]) -> str:
    first = last = next(records).page
    for record in records:
        last = record.page
    what = f"Page {first}" if first == last else f"Pages {first} to {last}"
    return (
        f'<section class="skipped" data-state="{Status.SKIPPED}">{what}: not asked for</section>\n'
    )


def _shown(record: PageRecord, source: PageSource, dpi: int) -> Image.Image | None:
    if record.sheet is None or record.status is Status.BLANK:
        return None
    try:
        image = source.image(record.page, _fitting(record.sheet, dpi))
    except (PageRefused, PageUnrenderable):
        return None
    image.thumbnail((dpi * _INCHES, dpi * _INCHES))
    return image


def _fitting(sheet: Sheet, dpi: int) -> int:
    longer = max(sheet.width_pt, sheet.height_pt) / 72
    return max(1, min(dpi, int(dpi * _INCHES / longer)))


def _data(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _worth(status: Status) -> str:
    return "whole" if status in WHOLE else "lacking"


def _style() -> str:
    colours = "".join(
        f".k{place}{{--k:{palette.hexadecimal(place)}}}\n" for place in range(palette.COUNT)
    )
    return Path(__file__).with_name("report.css").read_text("utf-8") + colours


def _script() -> str:
    return Path(__file__).with_name("report.js").read_text("utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"

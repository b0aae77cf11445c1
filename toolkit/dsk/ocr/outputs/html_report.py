"""`report.html`: each page's image beside its text, in one self-contained file.

Its content security policy allows its own style and script, identified by their hashes, and images
embedded in the file. Nothing is fetched from anywhere.
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
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.outputs.blocks import LayoutBlock
    from dsk.ocr.schema.page_record import PageRecord, Sheet
    from dsk.ocr.schema.run_plan import Document

_QUALITY: Final = 55
# Pairs of (pages up to, dots per inch of the images): browsers open files of some 200 MB.
_DPI: Final = ((200, 110), (1_000, 72), (10**9, 48))
# The longest side that is shown at that resolution; larger pages are shown at a lower one.
_MAX_INCHES: Final = 14


def render(context: OutputContext, source: PageSource) -> Iterator[str]:
    """Yield the report, a page at a time."""
    states = Counter(record.status for record in context.records())
    yield _head(context.document, states)
    shown = states.total() - states[Status.SKIPPED]
    dpi = next(dpi for max_pages, dpi in _DPI if shown <= max_pages)
    records = groupby(context.records(), lambda record: record.status is Status.SKIPPED)
    for skipped, group in records:
        if skipped:
            yield _skipped(group)
            continue
        for record in group:
            yield _page(record, context.blocks(record), source, dpi)
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
                f'<button type="button" class="{_status_class(status)}" data-state="{status}" '
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
<label>find <input id="find" type="search" placeholder="words on a page"></label>
<nav aria-label="pages by state">{buttons}</nav>
</header>
<main>
"""


def _page(record: PageRecord, blocks: list[LayoutBlock], source: PageSource, dpi: int) -> str:
    reason = f'<span class="why">{escape(record.reason)}</span>' if record.reason else ""
    number = record.page
    return (
        f'<section id="p{number}" data-state="{record.status}">\n'
        f'<h2><a href="#p{number}">Page {number}</a> '
        f'<span class="state {_status_class(record.status)}">{record.status}</span>{reason}</h2>\n'
        f"{_image(record, blocks, source, dpi)}"
        f'<div class="text">{_text(record, blocks)}</div>\n</section>\n'
    )


def _image(record: PageRecord, blocks: list[LayoutBlock], source: PageSource, dpi: int) -> str:
    image = _thumbnail(record, source, dpi)
    if image is None:
        note = "a blank page" if record.status is Status.BLANK else "no picture of this page"
        return f'<div class="sheet none">{note}</div>\n'
    rects = "".join(
        f'<rect class="k{palette.index(block.label)}" data-b="{number}" x="{box.left}" '
        f'y="{box.top}" width="{box.right - box.left}" height="{box.bottom - box.top}">'
        f"<title>{escape(block.label)}</title></rect>"
        for number, block in enumerate(blocks)
        for box in block.boxes
    )
    # The script sets src from data-src while a page is near: a browser cannot hold all images of a
    # long document decoded.
    return (
        f'<div class="sheet"><img width="{image.width}" height="{image.height}" '
        f'alt="Page {record.page}" data-src="{_data_url(image)}">'
        f'<svg viewBox="0 0 999 999" preserveAspectRatio="none">{rects}</svg></div>\n'
    )


def _text(record: PageRecord, blocks: list[LayoutBlock]) -> str:
    if not blocks:
        note = "nothing on this page" if record.status in WHOLE else "nothing of this page"
        return f'<p class="none">{note}</p>'
    return "".join(_block(number, block) for number, block in enumerate(blocks))


def _block(number: int, block: LayoutBlock) -> str:
    if not block.label:
        return f'<div class="block">{webtext.html(block.text)}</div>'
    # The script draws pictures from the page's image: none is in the file twice.
    cuts = "".join(
        f'<canvas data-box="{box.left},{box.top},{box.right},{box.bottom}" '
        f'aria-label="{escape(name)}"></canvas>'
        for box, name in zip(block.boxes, block.figures, strict=False)
        if name
    )
    problem = f'<span class="why">{escape(block.problem)}</span>' if block.problem else ""
    return (
        f'<div class="block k{palette.index(block.label)}" data-b="{number}" tabindex="0">'
        f'<span class="label">{escape(block.label)}</span>{problem}{cuts}'
        f"{webtext.html(block.text)}</div>"
    )


def _skipped(records: Iterator[PageRecord]) -> str:
    first = last = next(records).page
    for record in records:
        last = record.page
    pages = f"Page {first}" if first == last else f"Pages {first} to {last}"
    return (
        f'<section class="skipped" data-state="{Status.SKIPPED}">{pages}: not asked for</section>\n'
    )


def _thumbnail(record: PageRecord, source: PageSource, dpi: int) -> Image.Image | None:
    if record.sheet is None or record.status is Status.BLANK:
        return None
    try:
        image = source.image(record.page, _dpi_for(record.sheet, dpi))
    except (PageRefused, PageUnrenderable):
        return None
    # The source of an image file has its own resolution, whatever is asked for.
    image.thumbnail((dpi * _MAX_INCHES, dpi * _MAX_INCHES))
    return image


def _dpi_for(sheet: Sheet, dpi: int) -> int:
    longer = max(sheet.width_pt, sheet.height_pt) / 72
    return max(1, min(dpi, int(dpi * _MAX_INCHES / longer)))


def _data_url(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _status_class(status: Status) -> str:
    return "whole" if status in WHOLE else "lacking"


def _style() -> str:
    colours = "".join(
        f".k{colour}{{--k:{palette.hexadecimal(colour)}}}\n" for colour in range(palette.COUNT)
    )
    return Path(__file__).with_name("report.css").read_text("utf-8") + colours


def _script() -> str:
    return Path(__file__).with_name("report.js").read_text("utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"

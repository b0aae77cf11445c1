"""A document of two pages whose every pixel tells where it is, and its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymupdf
import pytest

from dsk.ocr.documents.opening import open_source
from dsk.ocr.outputs.base import OutputContext
from dsk.ocr.schema.page_record import PageRecord, Sheet, Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.documents.base import PageSource

SHEET = Sheet(width=200, height=400, width_pt=100, height_pt=200, dpi=144)


def tag(label: str, *boxes: tuple[int, int, int, int]) -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{[list(box) for box in boxes]}<|/det|>"


PAGES = (
    (
        f"{tag('title', (0, 0, 999, 99))}\n# One\n\n{tag('image', (0, 500, 499, 999))}\n\n"
        f"{tag('text', (-5, 200, 1200, 300))}\nwords <script>\n"
    ),
    (
        f"{tag('image', (900, 900, 100, 100), (5, 5, 5, 9), (0, 0, 999, 999))}\n"
        f"{tag('table', (1, 2, 3, 4))}\n<table><tr><td>1</td><td>2</td></tr></table>\n"
    ),
)


@pytest.fixture(scope="session")
def drawn() -> bytes:
    made = pymupdf.open()
    for _ in PAGES:
        page = made.new_page(width=100, height=200)
        for row in range(20):
            for column in range(10):
                left, top = column * 10, row * 10
                colour = (column / 10, row / 20, 0.5)
                page.draw_rect((left, top, left + 10, top + 10), color=None, fill=colour)
    content: bytes = made.tobytes()
    return content


@pytest.fixture
def document(tmp_path: Path, drawn: bytes) -> Document:
    file = tmp_path / "in.pdf"
    file.write_bytes(drawn)
    return Document(
        path=file,
        folder=tmp_path / "out" / "two pages",
        page_count=2,
        pages=[1, 2],
        sha256="ab" * 32,
    )


def records(*texts: str) -> list[PageRecord]:
    return [
        PageRecord(page=number, status=Status.OK, text=text, sheet=SHEET)
        for number, text in enumerate(texts or PAGES, start=1)
    ]


def context(document: Document, made: list[PageRecord], **changes: Any) -> OutputContext:
    document.folder.parent.mkdir(exist_ok=True)
    settings: dict[str, Any] = {
        "document": document,
        "out": document.folder.parent,
        "records": lambda: iter(made),
        "source": lambda: opened(document),
        "dpi": 144,
    }
    return OutputContext(**settings | changes)


def opened(document: Document) -> PageSource:
    return open_source(document.path)

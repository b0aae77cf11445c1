"""Pages are rendered in a process of its own, which may hang or crash."""

from __future__ import annotations

from pathlib import Path

import pymupdf
import pytest
from tests.hostile import pdf_files

from dsk.ocr.job import Document
from dsk.ocr.limits import Limits
from dsk.ocr.record import Status
from dsk.ocr.render import Renderer, rendered
from dsk.ocr.sources import open_source


@pytest.fixture
def document(tmp_path: Path) -> Document:
    (tmp_path / "a.pdf").write_bytes(pdf_files.written(3))
    return of(tmp_path / "a.pdf", 3)


def of(file: Path, count: int) -> Document:
    pages = list(range(1, count + 1))
    return Document(path=file, folder=file.parent / "out", page_count=count, pages=pages)


def test_the_pixels_arrive_as_they_were_rendered(document: Document) -> None:
    with open_source(document.path) as source:
        for page in rendered([document], 100, Limits()):
            assert page.status is None
            assert page.sheet == source.sheet(page.page, 100)
            assert page.image is not None
            assert page.image.tobytes() == source.image(page.page, 100).tobytes()


def test_a_page_that_takes_too_long_ends_alone_and_the_next_ones_come(
    document: Document, tmp_path: Path
) -> None:
    endless = tmp_path / "laughs.pdf"
    endless.write_bytes(pdf_files.laughs())
    found = list(rendered([of(endless, 1), document], 72, Limits(render_seconds=2)))
    assert [page.status for page in found] == [Status.TIMED_OUT, None, None, None]
    assert "--render-seconds" in found[0].reason


def test_a_process_that_is_killed_costs_one_page(document: Document) -> None:
    with Renderer(Limits()) as renderer:
        renderer.render(document, 1, 72)
        assert renderer._process is not None
        renderer._process.kill()
        renderer._process.wait()
        answer, image = renderer.render(document, 2, 72)
        assert (answer.status, image) == (Status.RENDER_FAILED, None)
        assert "crashed" in answer.reason
        assert renderer.render(document, 3, 72)[0].status is None


def test_no_process_is_left_behind(document: Document) -> None:
    with Renderer(Limits()) as renderer:
        renderer.render(document, 1, 72)
        assert renderer._process is not None
        process = renderer._process.pid
    assert not Path(f"/proc/{process}").exists()


def test_a_document_that_is_gone_fails_page_by_page(document: Document) -> None:
    document.path.unlink()
    found = list(rendered([document], 72, Limits()))
    assert [page.status for page in found] == [Status.RENDER_FAILED] * 3
    assert "there is no file" in found[0].reason


def test_an_empty_page_is_blank_and_in_a_damaged_file_it_is_suspect(tmp_path: Path) -> None:
    empty = pymupdf.open()
    empty.new_page()
    empty.save(tmp_path / "empty.pdf")
    (tmp_path / "cut.pdf").write_bytes(pdf_files.cut(0.6))
    found = list(
        rendered([of(tmp_path / "empty.pdf", 1), of(tmp_path / "cut.pdf", 5)], 72, Limits())
    )
    assert [page.status for page in found] == [Status.BLANK, *[None] * 4, Status.REPAIRED_SUSPECT]

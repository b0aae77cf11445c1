"""The layout PDF: the document's own pages at their size, with boxes over them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pymupdf
import pytest
from PIL import Image
from tests.unit.ocr.outputs.conftest import PAGES, context, records, tag

from dsk.ocr.documents.opening import open_source
from dsk.ocr.outputs import layout_pdf
from dsk.ocr.outputs.palette import index, rgb
from dsk.ocr.schema.page_record import PageRecord, Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROTATIONS = (0, 90, 180, 270)


def drawn(source: Path, made: list[PageRecord], password: str | None = None) -> Path:
    file = source.with_name("layouts.pdf")
    again = partial(open_source, source, password=password)
    document = Document(path=source, folder=source.parent, page_count=1, pages=[1])
    layout_pdf.write(context(document, made, source=again), file)
    return file


def pixels(file: Path, page: int) -> NDArray[np.uint8]:
    with open_source(file) as source:
        return np.asarray(source.image(page, 144))


def bare(*pages: int) -> list[PageRecord]:
    return [PageRecord(page=page, status=Status.OK, text="no boxes") for page in pages]


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A page in each rotation, none of them beginning at 0, with a note that has a colour."""
    made = pymupdf.open()
    for rotation in ROTATIONS:
        page = made.new_page(width=200, height=300)
        page.set_cropbox((20, 30, 170, 290))
        page.draw_rect((10, 10, 60, 20), color=None, fill=(1, 0, 0))
        page.insert_text((10, 100), "up", fontsize=30)
        page.add_rect_annot((80, 200, 120, 220)).update(fill_color=(0, 0, 1))
        page.set_rotation(rotation)
    made.save(tmp_path / "turned.pdf")
    return tmp_path / "turned.pdf"


def test_pages_look_as_they_do_in_the_document(turned: Path) -> None:
    file = drawn(turned, bare(1, 2, 3, 4))
    for page in (1, 2, 3, 4):
        ours, theirs = pixels(file, page), pixels(turned, page)
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).mean() < 1


def test_boxes_lie_where_they_are_seen(turned: Path) -> None:
    text = tag("title", (100, 200, 600, 400))
    file = drawn(turned, [PageRecord(page=page, status=Status.OK, text=text) for page in (1, 2)])
    colour = np.array(rgb(index("title"))) * 255
    for page in (1, 2):
        ours = pixels(file, page)
        height, width, _ = ours.shape
        for across, down in ((0.35, 0.2), (0.35, 0.4), (0.1, 0.3), (0.6, 0.3)):
            near = ours[int(height * down) - 2 : int(height * down) + 3]
            near = near[:, int(width * across) - 2 : int(width * across) + 3]
            assert np.abs(near - colour).sum(axis=2).min() < 60


def test_boxes_and_labels_are_vectors(document: Document) -> None:
    file = drawn(document.path, records())
    with pymupdf.open(file) as made:
        assert [page.rect[2:] for page in made] == [(100, 200), (100, 200)]
        assert all(not page.get_images() for page in made)
        assert "title" in made[0].get_text()
        assert len(made[1].get_drawings()) == len(made[0].get_drawings()) + 2


def test_what_acts_in_a_pdf_is_not_taken_over(tmp_path: Path) -> None:
    made = pymupdf.open()
    page = made.new_page()
    page.insert_link(
        {"kind": pymupdf.LINK_URI, "from": pymupdf.Rect(0, 0, 9, 9), "uri": "http://e/x"}
    )
    made.embfile_add("x.exe", b"MZ")
    script = made.get_new_xref()
    made.update_object(script, "<</S/JavaScript/JS(app.alert\\(1\\))>>")
    made.xref_set_key(made.pdf_catalog(), "OpenAction", f"{script} 0 R")
    made.xref_set_key(page.xref, "AA", f"<</O {script} 0 R>>")
    made.save(tmp_path / "acts.pdf")
    file = drawn(tmp_path / "acts.pdf", bare(1))
    with pymupdf.open(file) as taken:
        objects = "".join(taken.xref_object(xref) for xref in range(1, taken.xref_length()))
    for word in ("JavaScript", "http:", "EmbeddedFile", "/AA"):
        assert word not in objects


def test_an_encrypted_document_is_opened_with_its_password(document: Document) -> None:
    locked = document.path.with_name("locked.pdf")
    with pymupdf.open(document.path) as plain:
        plain.save(locked, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="a", owner_pw="b")
    file = drawn(locked, records(), password="a")
    assert (pixels(file, 1) == pixels(drawn(document.path, records()), 1)).all()


def test_an_image_is_a_page_of_its_own_size(tmp_path: Path) -> None:
    Image.new("RGB", (300, 600), (0, 128, 255)).save(tmp_path / "photo.png", dpi=(300, 300))
    with open_source(tmp_path / "photo.png") as source:
        sheet = source.sheet(1, 144)
    record = PageRecord(page=1, status=Status.OK, text=PAGES[0], sheet=sheet)
    file = drawn(tmp_path / "photo.png", [record])
    with pymupdf.open(file) as made:
        assert made[0].rect[2:] == pytest.approx((72, 144), abs=0.1)
        assert len(made[0].get_images()) == 1


def test_a_page_that_is_not_there_is_an_empty_one_that_says_so(document: Document) -> None:
    gone = PageRecord(page=9, status=Status.RENDER_FAILED, reason="it (is) \\gone\u4e2d")
    file = drawn(document.path, [records()[0], gone])
    with pymupdf.open(file) as made:
        assert "page 9: render-failed, it (is) \\gone?" in made[1].get_text()


def test_pages_keep_their_numbers_where_some_were_not_asked_for(turned: Path) -> None:
    skipped = PageRecord(page=1, status=Status.SKIPPED)
    file = drawn(turned, [skipped, *bare(2, 4)])
    with pymupdf.open(file) as made:
        assert [page.get_label() for page in made] == ["2", "4"]


def test_no_page_at_all_is_a_pdf_still(turned: Path) -> None:
    with pymupdf.open(drawn(turned, [])) as made:
        assert len(made) == 1


def test_many_pages_in_parts_are_whole_and_the_same_every_time(tmp_path: Path) -> None:
    made = pymupdf.open()
    for page in range(120):
        made.new_page(width=90, height=90).insert_text((9, 50), f"no {page + 1}")
    made.save(tmp_path / "many.pdf")
    found = [
        PageRecord(page=page, status=Status.OK, text=tag("text", (0, 0, 500, page)))
        for page in range(1, 121)
    ]
    file = drawn(tmp_path / "many.pdf", found)
    first = file.read_bytes()
    with pymupdf.open(file) as many:
        assert not many.is_repaired
        assert [f"no {page.number + 1}" in page.get_text() for page in many] == [True] * 120
    assert drawn(tmp_path / "many.pdf", found).read_bytes() == first

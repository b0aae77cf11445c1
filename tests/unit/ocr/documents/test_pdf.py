"""Pages of a PDF: as MuPDF draws them, at a lower resolution where they would be too large."""

from __future__ import annotations

import os
from pathlib import Path

import pymupdf
import pytest

from dsk.ocr.documents.base import PageRefused, PageUnrenderable
from dsk.ocr.documents.opening import open_source
from dsk.ocr.schema.limits import Limits


def drawn(file: Path, *sizes: tuple[float, float]) -> Path:
    document = pymupdf.open()
    for width, height in sizes:
        page = document.new_page(width=width, height=height)
        page.insert_text((10, 40), f"{width:g} wide", fontsize=20)
        page.draw_circle((60, 60), 30, fill=(0.2, 0.5, 0.9))
    document.save(file)
    return file


def test_the_pixels_are_mupdfs_own(tmp_path: Path) -> None:
    file = drawn(tmp_path / "a.pdf", (595, 842), (200.3, 99.7))
    plain = pymupdf.open(file)
    with open_source(file) as source:
        assert source.page_count == 2
        assert not source.repaired
        for number in (1, 2):
            pixels = plain[number - 1].get_pixmap(dpi=144, alpha=False)
            image = source.image(number, 144)
            assert image.size == (pixels.width, pixels.height)
            assert image.tobytes() == pixels.samples


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_sheet_is_as_the_page_is_shown(tmp_path: Path, turn: int) -> None:
    document = pymupdf.open(drawn(tmp_path / "a.pdf", (100, 200)))
    document[0].set_rotation(turn)
    document.save(tmp_path / "turned.pdf")
    with open_source(tmp_path / "turned.pdf") as source:
        sheet = source.sheet(1, 144)
        assert source.image(1, 144).size == (sheet.width, sheet.height)
    shown = (200, 100) if turn in (90, 270) else (100, 200)
    assert (sheet.width_pt, sheet.height_pt) == shown
    assert (sheet.width, sheet.height) == (2 * shown[0], 2 * shown[1])


def test_a_large_page_gets_a_lower_resolution_which_is_recorded(tmp_path: Path) -> None:
    file = drawn(tmp_path / "a.pdf", (1000, 1000), (100, 100))
    with open_source(file, limits=Limits(max_pixels=1_000_000)) as source:
        large, small = source.sheet(1, 144), source.sheet(2, 144)
        assert source.image(1, 144).size == (large.width, large.height) == (1000, 1000)
    assert (large.dpi, large.width_pt) == (72, 1000)
    assert small.dpi == 144


def test_a_page_that_no_resolution_fits_is_refused_and_the_flag_named(tmp_path: Path) -> None:
    file = drawn(tmp_path / "a.pdf", (14400, 14400))
    with open_source(file, limits=Limits(max_pixels=10_000)) as source:
        with pytest.raises(PageRefused, match="--max-pixels") as caught:
            source.image(1, 144)
        assert caught.value.limit == "max_pixels"


def test_a_page_that_is_not_there_cannot_be_rendered(tmp_path: Path) -> None:
    with open_source(drawn(tmp_path / "a.pdf", (50, 50))) as source:
        with pytest.raises(PageUnrenderable):
            source.image(2, 144)
        assert source.text(2) == ""


def test_the_text_layer_is_the_files_own(tmp_path: Path) -> None:
    with open_source(drawn(tmp_path / "a.pdf", (300, 100))) as source:
        assert source.text(1) == "300 wide\n"


def test_nothing_decoded_is_kept_from_page_to_page(tmp_path: Path) -> None:
    document = pymupdf.open()
    for grey in range(40):
        picture = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 1500, 1500))
        picture.clear_with(grey)
        document.new_page(width=1500, height=1500).insert_image((0, 0, 1500, 1500), pixmap=picture)
    document.save(tmp_path / "a.pdf", deflate=True)
    with open_source(tmp_path / "a.pdf") as source:
        used = []
        for number in range(1, 41):
            source.image(number, 72)
            used.append(memory())
    assert used[-1] - used[9] < 60_000_000  # MuPDF alone keeps 200 MB of these


def memory() -> int:
    """Bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

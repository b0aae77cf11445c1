"""The files that a document's outputs are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pymupdf
import pytest
from PIL import Image
from tests.unit.ocr.outputs.conftest import PAGES, context, opened, records, tag

from dsk.control_characters import without
from dsk.errors import InputUnreadable, UsageProblem
from dsk.ocr.outputs import registry
from dsk.ocr.outputs.writer import write
from dsk.ocr.schema.page_record import PageRecord, Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.schema.formats import Compat

ALL = frozenset(registry.names())
FORMATS = registry.formats()


def written(
    document: Document, made: list[PageRecord], formats: frozenset[str] = ALL
) -> dict[str, bytes]:
    write(context(document, made), formats)
    return {
        str(file.relative_to(document.folder)): file.read_bytes()
        for file in sorted(document.folder.rglob("*"))
        if file.is_file()
    }


def test_the_texts_are_written_always_and_the_rest_as_asked(document: Document) -> None:
    texts = {"two pages.md", "two pages_det.mmd"}
    assert set(written(document, records(), frozenset({"md"}))) == texts
    with_json = written(document, records(), frozenset({"json"}))
    assert set(with_json) == texts | {"two pages.json"}
    drawn = written(document, records(), frozenset({"html", "layout"}))
    assert set(drawn) == {*with_json, "report.html", "two pages_layouts.pdf"}


def test_equal_records_give_equal_bytes(document: Document, tmp_path: Path) -> None:
    first = written(document, records())
    elsewhere = document.model_copy(update={"folder": tmp_path / "again" / "two pages"})
    slower = [record.model_copy(update={"seconds": 99.0}) for record in records()]
    assert written(elsewhere, slower) == first
    assert written(document, records()) == first


def test_pictures_are_cut_out_to_the_pixel(document: Document) -> None:
    written(document, records())
    with opened(document) as source:
        page = source.image(1, 144)
    (document.folder / "page.jpg").parent.mkdir(exist_ok=True)
    page.crop((0, 200, 99, 400)).save(document.folder / "page.jpg", quality=90)
    cut = document.folder / "images" / "p0001_01.jpg"
    assert cut.read_bytes() == (document.folder / "page.jpg").read_bytes()


def test_boxes_that_are_reversed_or_empty_shift_no_picture(document: Document) -> None:
    written(document, records())
    images = document.folder / "images"
    assert sorted(file.name for file in images.iterdir()) == [
        "p0001_01.jpg",
        "p0002_01.jpg",
        "p0002_03.jpg",
    ]
    with Image.open(images / "p0002_01.jpg") as turned:
        assert turned.size == (160, 320)
    with Image.open(images / "p0002_03.jpg") as whole:
        assert whole.size == (200, 400)
    text = (document.folder / "two pages.md").read_text()
    assert text.count("![](images/p0002_01.jpg)\n\n![](images/p0002_03.jpg)\n\n<!-- a picture") == 1


def test_each_link_has_its_file(document: Document) -> None:
    files = written(document, records())
    links = {line[4:-1] for line in files["two pages.md"].decode().split("\n") if "![](" in line}
    assert links == {name for name in files if name.endswith(".jpg")}


def test_pictures_of_an_earlier_run_go_and_what_is_not_ours_stays(document: Document) -> None:
    written(document, records())
    (document.folder / "images" / "mine.jpg").write_bytes(b"")
    files = written(document, records("no picture", "none"))
    assert {name for name in files if name.startswith("images/")} == {"images/mine.jpg"}


def test_no_picture_follows_a_link_out_of_the_folder(document: Document, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    document.folder.mkdir(parents=True)
    (document.folder / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageProblem, match="is a link"):
        written(document, records())
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_texts_are_kept_where_the_document_is_gone(document: Document) -> None:
    document.path.unlink()
    with pytest.raises(InputUnreadable):
        written(document, records())
    text = (document.folder / "two pages.md").read_text()
    assert "# One" in text
    assert "![](" not in text
    assert (document.folder / "two pages_det.mmd").exists()
    assert (document.folder / "two pages.json").exists()


def test_pages_that_failed_have_their_place_in_each_file(document: Document) -> None:
    failed = PageRecord(page=1, status=Status.ENGINE_FAILED, reason="it died")
    files = written(document, [failed, *records()[1:]])
    assert b"> **Page 1 is missing:** engine-failed, it died\n" in files["two pages.md"]
    assert b"<!-- page 1: engine-failed, it died -->" in files["two pages_det.mmd"]
    made = json.loads(files["two pages.json"])
    assert [(page["page"], page["status"]) for page in made["pages"]] == [
        (1, "engine-failed"),
        (2, "ok"),
    ]


def test_the_raw_text_is_the_models_own(document: Document) -> None:
    assert written(document, records())["two pages_det.mmd"].decode() == (
        f"{PAGES[0]}\n<!-- page 2 -->\n\n{PAGES[1]}"
    )


STEERING = "\x1b]0;owned\x07\x9b31m\u202efdp.exe\u2066\x7f\r\u2028\U000e0041\u200f"


def test_no_control_character_of_the_model_gets_into_a_text(document: Document) -> None:
    text = (
        f"<|ref|>title{STEERING}<|/ref|><|det|>[[50, 20, 900, 80]]<|/det|>\n# A{STEERING}\n"
        f"<table><tr><td>{STEERING}</td></tr></table>\n```\n{STEERING}\n```\n"
    )
    made = records(text, text)
    made[1] = made[1].model_copy(update={"status": Status.ENGINE_FAILED, "reason": STEERING})
    files = written(document, made)
    for name in ("two pages.md", "two pages_det.mmd", "two pages.json", "report.html"):
        assert without(files[name].decode()) == files[name].decode(), name
        assert b"owned" in files[name]


def test_a_tag_that_a_control_character_hides_is_not_set_free(document: Document) -> None:
    files = written(document, records("<\x1bscript>x</scr\u202eipt>\n", "[a](java\x07script:x)\n"))
    text = files["two pages.md"].decode()
    assert "<script" not in text
    assert "](javascript:" not in text
    assert b"<script>x" not in files["report.html"]


@pytest.mark.parametrize("compat", ["", "official"])
def test_no_output_follows_a_link(document: Document, tmp_path: Path, compat: Compat) -> None:
    """Each name that is written, and the folders above it, lead elsewhere beforehand."""
    write(context(document, records()), ALL, compat)
    names = [str(file.relative_to(document.folder)) for file in document.folder.rglob("*.*")]
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in names:
        (document.folder / name).unlink()
        (document.folder / name).symlink_to(victim)
    write(context(document, records()), ALL, compat)
    assert victim.read_text() == "precious"
    assert not any((document.folder / name).is_symlink() for name in names)
    # The whole folder leads into another one, whose files have the names of outputs.
    document.folder.rename(tmp_path / "elsewhere")
    document.folder.symlink_to(tmp_path / "elsewhere")
    for name in names:
        (tmp_path / "elsewhere" / name).write_text("precious")
    with pytest.raises(UsageProblem, match="is a link: remove it"):
        write(context(document, records()), ALL, compat)
    assert {(tmp_path / "elsewhere" / name).read_text() for name in names} == {"precious"}


@pytest.mark.parametrize("odd", ["figures", "json", "layout", "html"])
@pytest.mark.parametrize("error", [MemoryError(), pymupdf.mupdf.FzErrorFormat("odd")])
def test_a_format_that_fails_costs_no_other_one(
    document: Document, odd: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: OutputContext) -> None:
        raise error

    failing = [replace(fmt, write=fail if fmt.name == odd else fmt.write) for fmt in FORMATS]
    monkeypatch.setattr(registry, "formats", lambda: tuple(failing))
    result = write(context(document, records()), ALL)
    assert list(result.failures) == [odd]
    files = {str(file.relative_to(document.folder)) for file in document.folder.rglob("*.*")}
    assert {"two pages.md", "two pages_det.mmd"} <= files
    # Pictures and tables: a file for each that is on the pages, which have none.
    for fmt in (fmt for fmt in FORMATS if fmt.name not in {"figures", "csv"}):
        names = {file.name.format(stem="two pages") for file in fmt.files}
        assert (names <= files) == (fmt.name != odd), fmt.name


NO_CONTENTS = ["5", "(abc)", "<< /Length 5 >>", "[1 (a) << >>]", "99 0 R", "{page} 0 R", "null"]


@pytest.mark.parametrize("contents", NO_CONTENTS)
@pytest.mark.parametrize("where", [1, 3, 6])
def test_one_odd_page_costs_its_document_nothing(tmp_path: Path, contents: str, where: int) -> None:
    made = pymupdf.open()
    for number in range(1, 7):
        page = made.new_page(width=100, height=200)
        page.draw_rect((0, 0, 50, 50), fill=(number / 7, 0, 0))
        page.insert_text((10, 100), f"page {number}")
    xref = made[where - 1].xref
    made.xref_set_key(xref, "Contents", contents.format(page=xref))
    made.save(tmp_path / "odd.pdf")
    odd = Document(
        path=tmp_path / "odd.pdf",
        folder=tmp_path / "out" / "two pages",
        page_count=6,
        pages=[1, 2, 3, 4, 5, 6],
    )
    answers = records(*(f"{tag('image', (0, 0, 500, 250))}\n{number}" for number in range(1, 7)))
    result = write(context(odd, answers), ALL)
    assert not result.failures
    text = (odd.folder / "two pages.md").read_text()
    files = {str(file.relative_to(odd.folder)) for file in odd.folder.rglob("*.*")}
    assert {"report.html", "two pages_layouts.pdf"} <= files
    with pymupdf.open(odd.folder / "two pages_layouts.pdf") as layout:
        assert len(layout) == 6
        for number in {1, 2, 3, 4, 5, 6} - {where}:
            assert f"page {number}" in layout[number - 1].get_text()
            assert f"![](images/p000{number}_01.jpg)" in text

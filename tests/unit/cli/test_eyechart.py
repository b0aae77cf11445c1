"""`dsk eyechart` and `dsk verify` take the charts and the test model of the named model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymupdf
import pytest
from click.testing import CliRunner

from dsk import models
from dsk.cli import eyechart, verify
from dsk.errors import UsageProblem
from dsk.eyechart import cache
from dsk.selftest import probe as proving

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.eyechart.recipe import Recipe


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes of the test models that are asked for, of which none is made."""
    recipes: list[Recipe] = []

    def make(_: object, __: object, recipe: Recipe, **___: Any) -> None:
        recipes.append(recipe)

    monkeypatch.setattr(cache, "make", make)
    return recipes


def dsk(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(
        command, [str(given) for given in arguments], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("options", "model", "size", "side"),
    [
        ((), "deepseek-ocr", "tiny", 16),
        (("--model", "deepseek-ai/DeepSeek-OCR-2"), "deepseek-ocr-2", "tiny", 16),
        (("--model", "unlimited-ocr", "--side", 20, "--size", "full"), "unlimited-ocr", "full", 20),
    ],
)
def test_a_test_model_is_the_one_of_the_named_model(
    made: list[Recipe], options: tuple[object, ...], model: str, size: str, side: int
) -> None:
    dsk(eyechart.command, "model", "folder", *options)
    (recipe,) = made
    assert (recipe.profile.id, recipe.size, recipe.side) == (model, size, side)


def test_a_side_that_the_model_has_no_view_for_is_refused(made: list[Recipe]) -> None:
    with pytest.raises(UsageProblem, match="DeepSeek-OCR-2 has no resolution with 8 cells"):
        dsk(eyechart.command, "model", "folder", "--model", "deepseek-ocr-2", "--side", 8)
    assert made == []


@pytest.mark.parametrize("model", models.profiles())
def test_a_page_fills_the_default_view_of_the_model(tmp_path: Path, model: str) -> None:
    (tmp_path / "text").write_text("a\n" * 17, "utf-8")
    out = tmp_path / "page.pdf"
    options = ("--text-file", tmp_path / "text", "--model", model)
    assert "2 pages" in dsk(eyechart.command, "page", *options, out).replace("\n", "")
    with pymupdf.open(out) as document:
        pixels = document[0].get_pixmap(dpi=144)
    view = models.profile(model).default_resolution.view
    assert (pixels.width, pixels.height) == (view, view)


@pytest.mark.parametrize("model", models.profiles())
def test_a_stack_is_verified_with_the_test_model_of_the_named_model(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    class Stopped(Exception):
        pass

    def probe(*_: object, profile: object, **__: object) -> None:
        assert profile is models.profile(model)
        raise Stopped

    monkeypatch.setattr(proving, "probe", probe)
    with pytest.raises(Stopped):
        dsk(verify.command, "--stack", "cpu", "--model", model)

"""A made-up fourth model: a table and a folder, and no other code knows of it."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.unit.models.literal_rule import Rule, noise, sizes

from dsk import models, paths
from dsk.matrix.load import load_models
from dsk.models.reference import resolve
from dsk.vllm_plugin import pages
from dsk.vllm_plugin.releases import support_for

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.models.base import ModelProfile

ID, ARCHITECTURE, HUB = "made-up-ocr", "MadeUpOCRForCausalLM", "nobody/Made-Up-OCR"
# Numbers that no other model has, in a rule that differs in one point.
RULE = Rule(tile=512, most=9, newline=True)
CHANGES = {
    "deepseek-ocr-2": ID,
    'name = "DeepSeek-OCR-2"': 'name = "Made-Up-OCR"',
    'aliases = ["ocr-2"]': 'aliases = ["fourth"]',
    "deepseek-ai/DeepSeek-OCR-2": HUB,
    "DeepseekOCR2ForCausalLM": ARCHITECTURE,
    "tile_size = 768": f"tile_size = {RULE.tile}",
    "max_tiles = 6": f"max_tiles = {RULE.most}",
    "row_ends = false": "row_ends = true",
    "weights_gib = 6.33": "weights_gib = 7.5",
}
PROFILE = '''\
"""Made-Up-OCR: it counts and cuts by the rules of its table, and squashes no page."""

from dsk.models.tiled import TiledProfile


class MadeUpProfile(TiledProfile):
    """The profile of Made-Up-OCR."""


PROFILE_CLASS = MadeUpProfile
'''
# dsk as it is installed, but for one more folder in which the models' code is looked for.
DSK = """
import sys
from dsk import models
from dsk.__main__ import main
models.__path__.append(sys.argv.pop(1))
main()
"""


@pytest.fixture
def folder(matrix_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the model's code; its table is in the matrix."""
    file = matrix_folder / "models.toml"
    text = file.read_text("utf-8")
    start, end = text.index("\n[deepseek-ocr-2]\n"), text.index("\n[unlimited-ocr]\n")
    table = text[start:end]
    for old, new in CHANGES.items():
        assert old in table, old
        table = table.replace(old, new)
    file.write_text(f"{text}\n{table}", "utf-8")
    code = tmp_path / "code"
    (code / ID.replace("-", "_")).mkdir(parents=True)
    (code / ID.replace("-", "_") / "profile.py").write_text(PROFILE)
    monkeypatch.setenv("DSK_COMPAT", str(matrix_folder))
    return code


@pytest.fixture
def made_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModelProfile:
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])
    return models.profile(ID)


def dsk(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", DSK, str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [ID, HUB, "Made-Up-OCR", "fourth"])
def test_every_name_of_it_selects_it_and_its_memory_is_planned(name: str, folder: Path) -> None:
    done = dsk(folder, "plan", "--model", name, "--gpu", "rtx4090")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Made-Up-OCR ({HUB})\n")
    assert "  weights          7.50 GiB, computed, not measured" in done.stdout


def test_its_files_are_asked_for_by_its_own_name(folder: Path, tmp_path: Path) -> None:
    done = dsk(folder, "model", "status", "--model", ID)
    assert done.returncode != 0
    assert f"dsk model fetch --model {ID}" in " ".join(done.stderr.split())


def test_without_its_folder_it_is_told_where_the_code_belongs(tmp_path: Path, folder: Path) -> None:
    done = dsk(tmp_path / "empty", "plan", "--model", ID)
    assert done.returncode != 0
    assert "dsk/models/made_up_ocr" in "".join(done.stderr.split())


def test_its_pages_are_prepared_by_its_own_numbers(made_up: ModelProfile) -> None:
    resolution = made_up.default_resolution
    for size in sizes(60, seed=5):
        assert resolution.grid(*size) == RULE.grid(*size), size
        assert resolution.tokens(resolution.grid(*size)) == len(RULE.sequence(*size)), size
    image = noise((700, 1100))
    view, tiles = RULE.pictures(image)
    page = made_up.prepare(image, resolution)
    assert np.array_equal(page.view, view)
    assert np.array_equal(page.tiles.reshape(-1, RULE.tile, RULE.tile, 3), np.stack(tiles))


def test_an_engine_takes_its_pages(made_up: ModelProfile, tmp_path: Path) -> None:
    configuration = SimpleNamespace(architectures=[ARCHITECTURE])
    assert pages.profile_of(configuration) is made_up
    mode = pages.engine_mode(None, configuration)
    largest = pages.largest_page(mode)
    pages.check_views(made_up, largest)
    assert pages.count_tokens(made_up, largest.view, largest.tiles) == made_up.max_page_tokens
    support = support_for("0.24.0", made_up.record, device="cuda")
    assert support is not None
    assert support.page_format == "views"
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text(json.dumps({"architectures": [ARCHITECTURE]}))
    assert resolve(str(checkpoint)).profile is made_up


def test_the_other_models_are_as_they_were(made_up: ModelProfile) -> None:
    published = load_models(paths.CHECKOUT / "compat")
    assert [*models.profiles()] == [*published, made_up.id]
    for model, record in published.items():
        assert models.profile(model).record == record
    page = models.default().prepare(
        Image.new("RGB", (700, 300)), models.default().default_resolution
    )
    assert page.grid == (2, 1)

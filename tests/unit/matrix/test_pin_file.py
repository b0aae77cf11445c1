"""Pins that `dsk model fetch --record` writes into models.toml."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.matrix import pin_file
from dsk.matrix.load import load_models

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "c" * 40


def test_the_pins_replace_the_table_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    before = (paths.compat() / "models.toml").read_text("utf-8")
    file.write_text(before, "utf-8")
    commit = load_models()["deepseek-ocr"].revision
    pin_file.record(
        file, "deepseek-ocr", commit, {"b.py": (12_345, "b" * 64), "a.json": (1, "a" * 64)}
    )
    after = file.read_text("utf-8")
    table = tomllib.loads(after)["deepseek-ocr"]
    assert list(table["files"]) == ["a.json", "b.py"]
    assert load_models(tmp_path)["deepseek-ocr"].files["b.py"].size == 12_345
    kept = [line for line in before.splitlines() if not line.startswith(('"', "#"))]
    assert [line for line in after.splitlines() if not line.startswith(('"', "#"))] == kept
    assert tomllib.loads(before)["deepseek-ocr"] | {"files": table["files"]} == table


def test_a_model_without_a_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text("[other]\n")
    with pytest.raises(MatrixInvalid, match=r"has no table \[mine\]"):
        pin_file.record(file, "mine", COMMIT, {})
    file.write_text("[mine]\n")
    with pytest.raises(MatrixInvalid, match=r"has no table \[mine\.files\]"):
        pin_file.record(file, "mine", COMMIT, {})


@pytest.mark.parametrize("old", ['revision = ""\n', f'revision = "{"0" * 40}"\n', ""])
def test_the_commit_replaces_the_models_own_revision_or_is_added(old: str, tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    other = '[other]\nrevision = "1"\n\n[other.files]\n'
    file.write_text(f'[mine]\nname = "M"\n{old}dtype = "x"\n\n[mine.files]\n"a" = {{}}\n\n{other}')
    pin_file.record(file, "mine", COMMIT, {"a": (1, "a" * 64)})
    tables = tomllib.loads(file.read_text("utf-8"))
    assert tables["mine"] == {
        "name": "M",
        "revision": COMMIT,
        "dtype": "x",
        "files": {"a": {"size": 1, "sha256": "a" * 64}},
    }
    assert file.read_text("utf-8").endswith(other)


def test_all_code_of_a_pinned_model_has_its_hash() -> None:
    for model in load_models().values():
        code = {path for path in model.files if path.endswith(".py")}
        assert code
        assert all(model.files[path].sha256 for path in code)
        assert any(path.endswith(".safetensors") for path in model.files)

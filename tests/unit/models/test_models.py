"""Which models there are, and finding them by what people and checkpoints call them."""

import subprocess
import sys
from pathlib import Path

import pytest

from dsk import models, paths
from dsk.errors import MatrixInvalid, UsageProblem


def test_the_first_table_is_the_default_model() -> None:
    assert models.default() is models.profile("deepseek-ocr")
    assert next(iter(models.profiles())) == "deepseek-ocr"


@pytest.mark.parametrize(
    "name", ["deepseek-ocr", "deepseek-ai/DeepSeek-OCR", "DeepSeek-OCR", "DEEPSEEK-AI/deepseek-ocr"]
)
def test_a_model_is_known_by_its_id_its_name_and_its_hub_id(name: str) -> None:
    assert models.by_name(name) is models.default()


def test_a_model_is_known_by_its_architecture() -> None:
    assert models.for_architecture("DeepseekOCRForCausalLM") is models.default()


def test_an_unknown_model_is_told_the_known_ones() -> None:
    for find in (models.profile, models.by_name):
        with pytest.raises(UsageProblem, match="no such model 'gpt': known are deepseek-ocr"):
            find("gpt")
    known = r"known are DeepseekOCRForCausalLM \(deepseek-ocr\)"
    with pytest.raises(UsageProblem, match=f"no model has the architecture 'gpt': {known}"):
        models.for_architecture("gpt")


def test_every_folder_of_models_has_a_table_and_every_table_a_folder() -> None:
    folders = {file.parent.name for file in (paths.PACKAGE / "models").glob("*/profile.py")}
    assert folders == {model_id.replace("-", "_") for model_id in models.profiles()}


def test_a_table_without_a_folder_says_where_its_code_is_missing(
    matrix_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = matrix_folder / "models.toml"
    file.write_text(file.read_text("utf-8").replace("deepseek-ocr", "no-such"), "utf-8")
    monkeypatch.setenv("DSK_COMPAT", str(matrix_folder))
    with pytest.raises(MatrixInvalid, match=r"'no-such': found no code .*dsk/models/no_such"):
        models.profiles()


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import dsk.models.base", {"numpy", "PIL", "pydantic"}),
        ("from dsk import models; models.default().max_page_tokens", {"numpy", "PIL"}),
    ],
)
def test_neither_importing_nor_counting_costs_pixels(code: str, heavy: set[str]) -> None:
    code += f"; import sys; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

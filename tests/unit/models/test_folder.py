"""Where a model lies."""

import json
from pathlib import Path

import pytest

from dsk import models
from dsk.errors import MatrixInvalid, UsageProblem
from dsk.models.folder import mode_of, profile_of
from dsk.models.reference import resolve


def whole(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"architectures": ["DeepseekOCRForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_folder_is_a_model_when_it_has_a_configuration_and_weights(tmp_path: Path) -> None:
    folder = whole(tmp_path / "model")
    assert resolve(str(folder)).locate() == folder


@pytest.mark.parametrize(
    ("lost", "said"), [("config.json", "config"), ("model.safetensors", "wei")]
)
def test_a_folder_that_lacks_one_of_them_is_refused(tmp_path: Path, lost: str, said: str) -> None:
    folder = whole(tmp_path / "model")
    (folder / lost).unlink()
    with pytest.raises(MatrixInvalid, match=f"has no {said}"):
        resolve(str(folder)).locate()


def test_a_folder_that_lacks_a_file_of_its_index_is_refused(tmp_path: Path) -> None:
    folder = whole(tmp_path / "model")
    index = {"weight_map": {"a": "model.safetensors", "b": "more.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MatrixInvalid, match=r"lacks more\.safetensors: dsk model fetch"):
        resolve(str(folder)).locate()


@pytest.mark.parametrize(("mark", "warned"), [("eyechart.json", False), ("notes.txt", True)])
def test_a_folder_of_unknown_origin_is_warned_of_and_a_test_model_is_not(
    tmp_path: Path, mark: str, warned: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = whole(tmp_path / "model")
    (folder / mark).write_text("{}")
    resolve(str(folder)).locate()
    said = "is not at a revision that the matrix pins" in capfd.readouterr().err
    assert said == warned


def test_a_checkpoint_names_its_model_and_its_resolution(tmp_path: Path) -> None:
    folder = whole(tmp_path / "model")
    assert profile_of(folder) is models.default()
    assert mode_of(folder) == "gundam"
    configuration = {"architectures": ["DeepseekOCRForCausalLM"], "dsk_mode": "tiny"}
    (folder / "config.json").write_text(json.dumps(configuration))
    assert profile_of(folder) is models.profile("deepseek-ocr")
    assert mode_of(folder) == "tiny"


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    folder = whole(tmp_path / "model")
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    with pytest.raises(UsageProblem, match="has the architecture 'LlamaForCausalLM'"):
        profile_of(folder)

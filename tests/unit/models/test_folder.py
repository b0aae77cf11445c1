"""Where a model lies."""

import json
from pathlib import Path

import pytest

from dsk import models
from dsk.errors import MatrixInvalid, UsageProblem
from dsk.matrix import load_matrix
from dsk.models.folder import mode_of, model_folder, profile_of


def whole(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_folder_is_a_model_when_it_has_a_configuration_and_weights(tmp_path: Path) -> None:
    folder = whole(tmp_path / "model")
    assert model_folder(str(folder), load_matrix()) == folder


@pytest.mark.parametrize(
    ("lost", "said"), [("config.json", "config"), ("model.safetensors", "wei")]
)
def test_a_folder_that_lacks_one_of_them_is_refused(tmp_path: Path, lost: str, said: str) -> None:
    folder = whole(tmp_path / "model")
    (folder / lost).unlink()
    with pytest.raises(MatrixInvalid, match=f"has no {said}"):
        model_folder(str(folder), load_matrix())


def test_a_known_name_is_found_in_the_hubs_cache_at_the_pinned_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = load_matrix().models["deepseek-ocr"]
    folder = tmp_path / "models--deepseek-ai--DeepSeek-OCR" / "snapshots" / model.revision
    whole(folder)
    assert model_folder(model.hub, load_matrix()) == folder


def test_a_known_name_that_is_not_here_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MatrixInvalid, match=r"is not on this machine: dsk model fetch"):
        model_folder("deepseek-ai/DeepSeek-OCR", load_matrix())


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(MatrixInvalid, match="there is no model folder nobody/nothing"):
        model_folder("nobody/nothing", load_matrix())


def test_a_folder_that_lacks_a_file_of_its_index_is_refused(tmp_path: Path) -> None:
    folder = whole(tmp_path / "model")
    index = {"weight_map": {"a": "model.safetensors", "b": "more.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MatrixInvalid, match=r"lacks more\.safetensors: dsk model fetch"):
        model_folder(str(folder), load_matrix())


@pytest.mark.parametrize(("mark", "warned"), [("eyechart.json", False), ("notes.txt", True)])
def test_a_folder_of_unknown_origin_is_warned_of_and_a_test_model_is_not(
    tmp_path: Path, mark: str, warned: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = whole(tmp_path / "model")
    (folder / mark).write_text("{}")
    model_folder(str(folder), load_matrix())
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
    with pytest.raises(UsageProblem, match="no such model 'LlamaForCausalLM'"):
        profile_of(folder)

"""What `--model` takes: a profile's id, hub id, name or alias, or a folder, and nothing else."""

import json
from pathlib import Path

import pytest

from dsk import models
from dsk.errors import MatrixInvalid, UsageProblem
from dsk.matrix.models import normalized_name
from dsk.models.reference import fetch_command, option_of, recognized, resolve

MODELS = list(models.profiles().values())
NAMES = [
    (name, model)
    for model in MODELS
    for name in (model.id, model.hub, model.name, *model.record.aliases)
]
OTHER = "b" * 40


def checkpoint(folder: Path, architecture: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize(("name", "model"), NAMES, ids=[name for name, _ in NAMES])
def test_a_model_goes_by_all_its_names_however_they_are_spelt(
    name: str, model: models.base.ModelProfile
) -> None:
    for spelt in (name, name.upper(), name.replace("-", "_"), name.replace("-", " ")):
        reference = resolve(spelt)
        assert reference.profile is model
        assert reference.revision == model.record.revision
        assert reference.is_pinned
        assert reference.folder is None


@pytest.mark.parametrize(("name", "model"), NAMES, ids=[name for name, _ in NAMES])
def test_a_revision_may_follow_any_name(name: str, model: models.base.ModelProfile) -> None:
    reference = resolve(f"{name}@{OTHER}")
    assert (reference.profile, reference.revision) == (model, OTHER)
    assert str(reference) == f"{model.hub}@{OTHER}"
    assert resolve(f"{name}@{model.record.revision}").is_pinned


def test_no_name_is_the_default_model() -> None:
    assert resolve(None).profile is models.default()


def test_a_name_without_its_revision_is_refused() -> None:
    name = MODELS[0].id
    with pytest.raises(UsageProblem, match=f"names no revision: write {name}@REVISION"):
        resolve(f"{name}@")


@pytest.mark.parametrize("model", MODELS, ids=[model.id for model in MODELS])
def test_a_misspelt_name_is_told_the_nearest_and_all_ids(model: models.base.ModelProfile) -> None:
    wrong = model.id.replace("ocr", "orc")
    with pytest.raises(UsageProblem) as refused:
        resolve(wrong)
    assert refused.value.what == f"no such model '{wrong}'"
    assert f"did you mean {model.id}? known are {', '.join(models.profiles())}" in refused.value.do


def test_a_name_like_none_is_told_the_known_ones_alone() -> None:
    with pytest.raises(UsageProblem, match="no such model 'gpt': known are deepseek-ocr"):
        resolve("gpt")


def test_what_may_be_a_path_or_a_hub_id_is_both_to_the_message() -> None:
    what = "there is no model folder nobody/nothing, and no model of that hub id: known are"
    with pytest.raises(UsageProblem, match=what):
        resolve("nobody/nothing")
    with pytest.raises(UsageProblem, match=rf"hub id: did you mean {MODELS[0].id}\? known"):
        resolve(MODELS[0].hub.replace("OCR", "ORC"))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/model", "a/b/c", "../x", "~/model"])
def test_what_can_only_be_a_folder_is_sought_as_one(name: str) -> None:
    with pytest.raises(UsageProblem, match=f"there is no model folder {name}"):
        resolve(name)


@pytest.mark.parametrize("model", MODELS, ids=[model.id for model in MODELS])
def test_a_folder_is_of_the_model_that_has_its_architecture(
    model: models.base.ModelProfile, tmp_path: Path
) -> None:
    folder = checkpoint(tmp_path / "mine", model.record.architecture)
    reference = resolve(str(folder))
    assert (reference.profile, reference.folder) == (model, folder)
    assert reference.locate() == folder
    assert reference.fetch_command == fetch_command(model.id)


def test_a_folder_wins_over_a_model_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, last = MODELS[0], MODELS[-1]
    checkpoint(tmp_path / first.id, last.record.architecture)
    for name in (first.id, f"./{first.id}"):
        assert resolve(name).profile is last
        assert resolve(name).folder == Path(first.id)
    assert resolve(first.hub).folder is None


def test_a_folder_of_a_model_s_name_that_holds_none_says_how_to_name_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / MODELS[0].name).mkdir()
    with pytest.raises(MatrixInvalid, match=rf"has no config\.json.*hub id: {MODELS[0].hub}"):
        resolve(MODELS[0].name)


def test_a_folder_of_an_unknown_architecture_says_so_and_which_are_known(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "llama", "LlamaForCausalLM")
    with pytest.raises(UsageProblem) as refused:
        resolve(str(folder))
    assert f"the model folder {folder} is of no model that dsk knows" in refused.value.what
    assert "'LlamaForCausalLM'" in refused.value.what
    for model in MODELS:
        assert f"{model.record.architecture} ({model.id})" in refused.value.do


@pytest.mark.parametrize("model", MODELS, ids=[model.id for model in MODELS])
def test_a_model_that_is_not_here_says_how_to_get_it(
    model: models.base.ModelProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    named = "" if model is models.default() else f" --model {model.id}"
    with pytest.raises(MatrixInvalid) as missing:
        resolve(model.name).locate()
    assert str(missing.value) == f"{model.hub} is not on this machine: dsk model fetch{named}"
    with pytest.raises(MatrixInvalid, match=rf"dsk model fetch{named} --revision {OTHER}$"):
        resolve(f"{model.id}@{OTHER}").locate()


@pytest.mark.parametrize("model", MODELS, ids=[model.id for model in MODELS])
def test_a_model_is_found_in_the_hubs_cache_at_its_pinned_revision(
    model: models.base.ModelProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    storage = tmp_path / f"models--{model.hub.replace('/', '--')}" / "snapshots"
    folder = checkpoint(storage / model.record.revision, model.record.architecture)
    assert resolve(model.id).locate() == folder


@pytest.mark.parametrize("model", MODELS, ids=[model.id for model in MODELS])
def test_a_model_is_recognized_by_what_servers_say_of_it(
    model: models.base.ModelProfile,
) -> None:
    snapshot = f"/cache/models--{model.hub.replace('/', '--')}/snapshots/{OTHER}"
    for name in (model.id, model.hub, snapshot, f"/models/{model.name}", f"./{model.id}"):
        assert recognized(name) is model
    for name in ("", "/", "llama", f"/models/{OTHER}", f"/{model.id}/snapshots/x"):
        assert recognized(name) is None


def test_no_two_models_share_a_spelling() -> None:
    spellings = [text for model in MODELS for text in model.record.spellings]
    assert len(spellings) == len(set(spellings))
    assert normalized_name("DeepSeek OCR_2") == "deepseekocr2"


def test_a_command_names_the_model_unless_it_would_take_it_anyway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = MODELS[0], MODELS[-1]
    for variable, omitted in (("", True), (first.name, True), (last.id, False), ("./own", False)):
        monkeypatch.setenv(models.VARIABLE, variable)
        assert option_of(first.id) == ("" if omitted else f" --model {first.id}")
        assert option_of(last.id) == f" --model {last.id}"
        assert fetch_command(first.id) == f"dsk model fetch{option_of(first.id)}"

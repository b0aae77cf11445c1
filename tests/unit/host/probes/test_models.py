"""The probe of the hub's cache: every model's revisions, and what they lack."""

import json
from pathlib import Path

import pytest

from dsk import models
from dsk.host.facts import Models
from dsk.host.probes.models import look
from dsk.models.base import ModelProfile

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


def fetched(cache: Path, model: ModelProfile, revision: str) -> Path:
    storage = cache / f"models--{model.hub.replace('/', '--')}"
    folder = storage / "snapshots" / revision
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text("{}")
    index = {"weight_map": {"a": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").write_bytes(b"weights")
    (storage / "refs").mkdir()
    (storage / "refs" / "main").write_text(revision)
    return folder


def test_every_model_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    for number, model in enumerate(models.profiles().values()):
        fetched(tmp_path, model, f"{number:040x}")
    found = look()
    states = [found, *found.others.values()]
    assert list(found.others) == list(models.profiles())[1:]
    for number, state in enumerate(states):
        (snapshot,) = state.snapshots
        assert (snapshot.revision, snapshot.main, snapshot.missing) == (f"{number:040x}", True, ())


def test_what_one_model_lacks_is_said_of_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    *_, last = models.profiles().values()
    (fetched(tmp_path, last, "a" * 40) / "model.safetensors").unlink()
    found = look()
    assert found.snapshots == ()
    assert found.others[last.id].snapshots[0].missing == ("model.safetensors",)


def test_facts_of_an_earlier_release_stay_readable() -> None:
    earlier = {"snapshots": [], "partial": 1, "patched": 0, "outdated": 0}
    assert Models.model_validate(earlier).partial == 1

"""Releases with which the patch is proved: only those whose every number is the reference's."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dsk import models
from dsk.transformers_patch import proof


def numbers(**changes: Any) -> dict[str, Any]:
    part = {"tokens equal": True, "steps equal": True, "largest difference": 0.0}
    checks = {"config": True, "tokenizer": True, "saves the original": True}
    return {**checks, "eager": {"text": part, "image": part | changes}}


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Evidence of two models on three releases, the newest of which one model fails."""
    monkeypatch.setenv("DSK_COMPAT", str(tmp_path))
    monkeypatch.delenv("_DSK_PATCH_WARNED", raising=False)
    file = tmp_path / "evidence" / proof.EVIDENCE
    file.parent.mkdir()
    results = [
        {"transformers": "5.10.0", "models": {"a": numbers(), "b": numbers()}},
        {"transformers": "5.9.0", "models": {"a": numbers(), "b": numbers()}},
        {"transformers": "5.11.0", "failed": ["it did not load"]},
        {
            "transformers": "5.12.0",
            "models": {"a": numbers(), "b": numbers(**{"steps equal": False})},
        },
    ]
    file.write_text(json.dumps({"allowed difference": 1e-5, "results": results}))
    proof._proved.cache_clear()
    return file


def test_a_release_is_proved_for_the_models_whose_numbers_are_right(evidence: Path) -> None:
    assert evidence.is_file()
    assert proof.proved() == {"a": ("5.9.0", "5.10.0", "5.12.0"), "b": ("5.9.0", "5.10.0")}
    assert proof.newest() == "5.10.0"


@pytest.mark.parametrize(
    "changes",
    [{"tokens equal": False}, {"steps equal": False}, {"largest difference": 2e-5}],
)
def test_one_number_that_differs_is_no_proof(changes: dict[str, Any]) -> None:
    assert proof.is_right(numbers(), 1e-5)
    assert not proof.is_right(numbers(**changes), 1e-5)
    assert not proof.is_right(numbers() | {"tokenizer": False}, 1e-5)


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("5.9.0", "transformers 5.9.0 is proved with every model"),
        ("5.9.1", "transformers 5.9.1 has not been tried with a, b; releases around it have"),
        ("5.12.0", "transformers 5.12.0 is newer than 5.10.0, the newest"),
        ("6.0.0.dev0", "transformers 6.0.0.dev0 is newer than 5.10.0, the newest"),
    ],
)
def test_a_release_stands_where_the_evidence_puts_it(
    evidence: Path, release: str, line: str
) -> None:
    assert evidence.is_file()
    assert proof.standing(release).startswith(line)


def test_a_newer_release_is_warned_of_once_in_a_tree_of_processes(
    evidence: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evidence.is_file()
    monkeypatch.setenv("_DSK_PATCH_WARNED", "")
    monkeypatch.setattr("importlib.metadata.version", lambda _: "5.9.0")
    proof.warn_of_newer()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("importlib.metadata.version", lambda _: "5.13.0")
    proof.warn_of_newer()
    assert capsys.readouterr().err.count("dsk: transformers 5.13.0 is newer than 5.10.0") == 1
    # what it starts inherits the environment
    assert os.environ["_DSK_PATCH_WARNED"]
    proof.warn_of_newer()
    assert capsys.readouterr().err == ""


def test_without_evidence_nothing_is_proved_and_nothing_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_COMPAT", str(tmp_path / "nothing"))
    assert proof.proved() == {}
    assert proof.newer("99.0") is None


def test_the_recorded_evidence_proves_every_model_with_the_same_releases() -> None:
    proved = proof.proved()
    assert set(proved) == set(models.profiles())
    assert len(set(proved.values())) == 1
    assert len(next(iter(proved.values()))) == 16
    assert proof.newest() == "5.24.0"

"""The hash of the settings: weights that differ are told apart, without reading all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.pipeline.running import plan_for

from dsk.ocr.results.manifest import describe, settings_hash, settings_of, weights_hash
from dsk.ocr.schema.run_plan import Document, ModelIdentity

if TYPE_CHECKING:
    from pathlib import Path

HEADER = b'{"weights": {"dtype": "U8", "shape": [8000000], "data_offsets": [0, 8000000]}}'
SIZE = 8_000_000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    weights(tmp_path / "model", np.arange(SIZE, dtype=np.uint32).astype(np.uint8))
    return tmp_path / "model"


def weights(model: Path, data: np.ndarray, header: bytes = HEADER) -> None:
    whole = len(header).to_bytes(8, "little") + header + data.tobytes()
    (model / "model.safetensors").write_bytes(whole)


def of(model: Path) -> str:
    return settings_hash(plan_for([], model, model))


def test_the_same_weights_have_the_same_hash_wherever_they_lie(model: Path) -> None:
    before = of(model)
    for file in model.iterdir():
        file.write_bytes(file.read_bytes())
    assert of(model) == before


@pytest.mark.parametrize("part", [slice(None), slice(10), slice(-10, None), slice(SIZE // 2)])
def test_retrained_weights_of_one_size_are_others(model: Path, part: slice) -> None:
    before = of(model)
    data = np.arange(SIZE, dtype=np.uint32).astype(np.uint8)
    data[part] += 1
    weights(model, data)
    assert of(model) != before


def test_another_header_of_one_length_is_another_model(model: Path) -> None:
    before = of(model)
    data = np.arange(SIZE, dtype=np.uint32).astype(np.uint8)
    weights(model, data, HEADER.replace(b"weights", b"headers"))
    assert of(model) != before


@pytest.mark.parametrize("content", [b"", b"\xff" * 9, b"\x08"])
def test_what_is_no_file_of_weights_is_hashed_all_the_same(model: Path, content: bytes) -> None:
    (model / "model.safetensors").write_bytes(content)
    found = settings_of(plan_for([], model, model))["model"]["weights"]
    assert found["model.safetensors"]["size"] == len(content)


def test_a_manifest_names_the_model_beside_its_files(model: Path) -> None:
    identity = ModelIdentity(id="one", name="Model One", hub="owner/One", revision="1" * 40)
    plan = plan_for([], model, model).model_copy(update={"identity": identity})
    document = Document(path=model, folder=model, page_count=1, pages=[1])
    named = describe(plan, document, settings_hash(plan))["model"]
    assert named == settings_of(plan)["model"] | {
        "id": "one",
        "name": "Model One",
        "hub": "owner/One",
        "revision": "1" * 40,
    }
    # Outputs of an earlier release go on: the hash is of what decides the result alone.
    assert settings_hash(plan) == settings_hash(plan_for([], model, model))


def test_the_hash_of_a_model_is_that_of_its_files_wherever_they_lie(
    model: Path, tmp_path: Path
) -> None:
    (model / "config.json").write_text("{}")
    before = weights_hash(model)
    moved = model.rename(tmp_path / "moved")
    assert weights_hash(moved) == before
    (moved / "config.json").write_text('{"architectures": []}')
    assert weights_hash(moved) != before


def test_a_manifest_says_whether_the_engine_is_from_the_lock_and_what_the_stack_has(
    model: Path,
) -> None:
    document = Document(path=model, folder=model, page_count=1, pages=[1])
    plan = plan_for([], model, model)
    other = plan.model_copy(
        update={"lock_sha256": "", "stack_versions": {"vllm": "0.32.0"}, "from_lock": False}
    )
    found = describe(other, document, settings_hash(other))
    assert found["stack"]["lock_sha256"] == ""
    assert (found["from_lock"], found["stack_versions"]) == (False, {"vllm": "0.32.0"})
    locked = describe(plan.model_copy(update={"from_lock": True}), document, settings_hash(plan))
    assert locked["from_lock"] is True
    assert "stack_versions" not in locked
    # Where the packages are from is told beside the settings: the same ones keep what was read.
    assert settings_hash(plan.model_copy(update={"from_lock": True})) == settings_hash(plan)

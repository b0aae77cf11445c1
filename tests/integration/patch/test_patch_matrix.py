"""The remote code of three tiny models, patched, on several transformers: 4.46.3's numbers.

The environments are made when they are missing; `just patch-matrix` runs all releases.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MATRIX = Path(__file__).with_name("matrix.py")
# The ends, and the steps at which something went: the flash class, the free import of matplotlib,
# generation, the caches' methods, buffers and the tokenizer, beam search, the cache's name.
STEPS = ["4.46.3", "4.48.3", "4.51.3", "4.53.3", "4.57.6", "5.0.0", "5.23.0", "5.24.0"]
MODELS = ["deepseek-ocr", "deepseek-ocr-2", "unlimited-ocr"]
PARTS = ["text", "image", "batch", "beams"]

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("matrix") / "work"
    done = subprocess.run(
        [sys.executable, MATRIX, "--folder", folder, *STEPS],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found, done.stderr
    return {result["transformers"]: result for result in found}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("version", STEPS)
def test_the_code_loads_and_is_saved_as_published(
    results: dict[str, dict[str, Any]], version: str, model: str
) -> None:
    assert "failed" not in results[version], results[version]
    assert results[version]["models"][model]["config"]
    assert results[version]["models"][model]["saves the original"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("version", STEPS)
def test_the_tokenizer_keeps_spaces_and_begins_a_sentence(
    results: dict[str, dict[str, Any]], version: str, model: str
) -> None:
    assert results[version]["models"][model]["tokenizer"]


@pytest.mark.parametrize(
    ("model", "kind", "parts"),
    [
        *((model, "eager", [*PARTS, "bfloat16"]) for model in MODELS),
        *((model, "sdpa", PARTS) for model in MODELS if model != "unlimited-ocr"),
    ],
)
@pytest.mark.parametrize("version", STEPS)
def test_tokens_and_logits_are_those_of_4_46_3_and_the_cache_is_used_as_there(
    results: dict[str, dict[str, Any]], version: str, model: str, kind: str, parts: list[str]
) -> None:
    numbers = results[version]["models"][model][kind]
    assert sorted(numbers) == sorted(parts)
    for part in parts:
        assert numbers[part]["tokens equal"], part
        assert numbers[part]["steps equal"], part
        assert numbers[part]["largest difference"] <= 1e-5, part

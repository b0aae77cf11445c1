"""The remote code of a tiny model, patched, on several transformers: the numbers of 4.46.3.

The environments are made when they are missing; `just patch-matrix` runs all fifteen.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MATRIX = Path(__file__).with_name("matrix.py")
# The ends, and the steps at which something went: the flash class, the free import of matplotlib,
# generation, the caches' methods, buffers and the tokenizer.
STEPS = ["4.46.3", "4.48.3", "4.51.3", "4.53.3", "4.57.6", "5.0.0", "5.23.0"]

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


@pytest.mark.parametrize("version", STEPS)
def test_the_code_loads_without_an_error(results: dict[str, dict[str, Any]], version: str) -> None:
    assert "failed" not in results[version], results[version]
    assert results[version]["config"]


@pytest.mark.parametrize("version", STEPS)
def test_the_tokenizer_keeps_spaces_and_begins_a_sentence(
    results: dict[str, dict[str, Any]], version: str
) -> None:
    assert results[version]["tokenizer"]


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize("version", STEPS)
def test_logits_and_tokens_are_those_of_4_46_3(
    results: dict[str, dict[str, Any]], version: str, kind: str
) -> None:
    assert results[version][kind]["tokens equal"]
    assert results[version][kind]["largest difference"] <= 1e-5


@pytest.mark.parametrize("version", STEPS)
def test_a_saved_model_has_the_published_code_beside_it(
    results: dict[str, dict[str, Any]], version: str
) -> None:
    assert results[version]["saves the original"]

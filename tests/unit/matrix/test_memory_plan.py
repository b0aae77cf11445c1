"""The memory planner, held against the field's log of an RTX 4090."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from dsk import models
from dsk.cli.plan import command
from dsk.errors import MatrixInvalid, UsageProblem
from dsk.matrix import load_matrix
from dsk.matrix.memory_plan import GIB, of_configuration, of_model, plan

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGE: dict[str, Any] = {
    "num_hidden_layers": 12,
    "hidden_size": 1280,
    "num_attention_heads": 10,
    "num_key_value_heads": 10,
    "use_mla": False,
    "kv_lora_rank": None,
    "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0,
}
MLA = {"use_mla": True, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64}


def configuration(folder: Path, **changes: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({"language_config": LANGUAGE | changes}))
    return file


def test_an_rtx_4090_has_the_logged_kv_cache_and_requests() -> None:
    matrix = load_matrix()
    made = plan(matrix.gpu("rtx4090"), matrix.models["deepseek-ocr"], utilization=0.9)
    assert made.usable == pytest.approx(19.82, abs=0.01)
    assert made.kv_cache == pytest.approx(12.99, abs=0.01)
    assert round(made.requests(4096), 1) == 55.4


# vLLM 0.24.0 logged these with the full-size test model at 0.85.
@pytest.mark.parametrize(("card", "tokens"), [("h200", 1_932_400), ("h100", 1_037_968)])
def test_a_card_has_the_logged_tokens_within_two_percent(card: str, tokens: int) -> None:
    matrix = load_matrix()
    made = plan(matrix.gpu(card), matrix.models["deepseek-ocr"], utilization=0.85)
    assert made.requests(1) == pytest.approx(tokens, rel=0.02)


def test_the_published_configuration_takes_61440_bytes_a_token(tmp_path: Path) -> None:
    kv = of_configuration(configuration(tmp_path))
    assert (kv.kind, kv.bytes_per_token, kv.other) == ("MHA", 61_440, None)


def test_mla_is_reported_beside_mha(tmp_path: Path) -> None:
    kv = of_configuration(configuration(tmp_path, **MLA))
    assert (kv.kind, kv.bytes_per_token) == ("MLA", 12 * (512 + 64) * 2)
    assert kv.other == ("MHA", 2 * 12 * 10 * 192 * 2)


def test_a_card_too_small_for_the_model_is_told_what_it_needs() -> None:
    matrix = load_matrix()
    model = matrix.models["deepseek-ocr"]
    with pytest.raises(UsageProblem, match=r"no room for a KV cache .* more than 6\.84 GiB"):
        plan(matrix.gpu("rtx4090"), model, utilization=0.3)


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"language_config": {"use_mla": true}}'])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(MatrixInvalid, match=r"config\.json is no configuration of these models"):
        of_configuration(file)


def test_the_command_prints_the_fields_table() -> None:
    result = CliRunner().invoke(command, ["--gpu", "rtx4090"])
    assert result.output.splitlines() == [
        "DeepSeek-OCR (deepseek-ai/DeepSeek-OCR)",
        "NVIDIA GeForce RTX 4090, 22.03 GiB, 90% of it for vLLM",
        "  usable          19.83 GiB",
        "  weights          6.23 GiB",
        "  activations      0.61 GiB",
        "  KV cache        12.99 GiB",
        "  a token takes 61,440 B (MHA)",
        "  requests of 4096 tokens at once: 55.4",
    ]


@pytest.mark.parametrize(
    ("model", "weights", "activations", "kv_cache"),
    [("deepseek-ocr-2", 6.33, 0.87, 12.62), ("unlimited-ocr", 6.23, 0.61, 12.99)],
)
def test_the_command_marks_what_is_computed_of_a_model(
    model: str, weights: float, activations: float, kv_cache: float
) -> None:
    result = CliRunner().invoke(command, ["--gpu", "rtx4090", "--model", model])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert f"  weights      {weights:8.2f} GiB, computed, not measured" in lines
    assert f"  activations  {activations:8.2f} GiB, computed, not measured" in lines
    assert f"  KV cache     {kv_cache:8.2f} GiB" in lines


def test_of_an_answer_with_a_window_the_window_alone_is_kept(tmp_path: Path) -> None:
    record = load_matrix().models["unlimited-ocr"]
    read = of_configuration(configuration(tmp_path, rswa_window=128))
    for kv in (of_model(record), read):
        assert (kv.kept(3793, 100), kv.kept(3793, 8000)) == (3893, 3921)
    assert of_configuration(configuration(tmp_path)).kept(903, 8000) == 8903
    long, short = (
        CliRunner().invoke(command, ["--model", record.id, "--tokens", tokens]).output
        for tokens in ("20000", "4000")
    )
    assert "20000 tokens at once: 57.9; 3921 of them are kept, a page and the window" in long
    assert "4000 tokens at once: 57.9; 3921 of them" in short


@pytest.mark.parametrize("model", load_matrix().models)
def test_the_weights_of_a_plan_are_the_tensors_and_little_more(model: str) -> None:
    record = load_matrix().models[model]
    beside = record.memory.weights_gib - record.weights_bytes / GIB
    assert 0 < beside < 0.03
    assert record.memory.v1_peak_gib > record.memory.weights_gib + record.memory.activations_gib


@pytest.mark.parametrize("model", load_matrix().models)
def test_a_card_of_12_gb_holds_a_page_of_most_tokens_and_its_answer(model: str) -> None:
    matrix = load_matrix()
    made = plan(matrix.gpu("rtx4070"), matrix.models[model], utilization=0.9)
    assert made.requests(models.profile(model).max_page_tokens + 1024) >= 1


def test_the_command_shows_an_mla_decoder_both_ways(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--config", str(configuration(tmp_path, **MLA))])
    assert "  a token takes 13,824 B (MLA); 92,160 B as MHA" in result.output.splitlines()

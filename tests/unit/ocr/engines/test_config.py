"""The engine's configuration: what vLLM is started with, decided in one place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dsk import models
from dsk.errors import EngineMissing, MatrixInvalid
from dsk.matrix import load_matrix
from dsk.ocr.engines.config import command_line, cpu_dtype, engine_config, engine_environment

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.models.base import ModelProfile
    from dsk.ocr.schema.engine_config import EngineConfig

AVX512 = "flags\t\t: fpu avx2 avx512f avx512bw avx512vl avx512dq\n"
AVX2 = "flags\t\t: fpu avx2 avx512f\n"
ARM = "Features\t: fp asimd bf16 i8mm\n"


def config(
    stack: str,
    model: Path,
    version: str | None = None,
    *,
    native: bool = False,
    profile: ModelProfile | None = None,
) -> EngineConfig:
    return engine_config(
        load_matrix().stack(stack),
        profile or models.default(),
        model,
        mode="gundam",
        patch=True,
        version=version,
        native=native,
    )


@pytest.mark.parametrize(
    ("text", "dtype"),
    [(AVX512, "bfloat16"), (AVX2, "float32"), (ARM, "bfloat16"), ("model name : x\n", "float32")],
)
def test_a_cpu_computes_in_bfloat16_where_that_is_fast(
    tmp_path: Path, text: str, dtype: str
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}\nprocessor\t: 1\n")
    assert cpu_dtype(tmp_path / "cpuinfo") == dtype


def test_an_engine_is_started_with_the_stacks_settings_and_what_its_release_needs(
    tmp_path: Path,
) -> None:
    v1 = config("v1", tmp_path)
    stack = load_matrix().stack("v1")
    assert v1.settings.items() >= stack.settings.items()
    assert v1.settings["logits_processors"] == ["dsk.vllm_plugin.v1.guard:NgramGuardProcessor"]
    assert v1.settings["scheduler_cls"] == "dsk.vllm_plugin.v1.scheduler.GroupingScheduler"
    assert v1.settings["enable_prefix_caching"] is False
    assert (v1.page_format, v1.package) == ("views", "dsk.vllm_plugin.v1")
    v0 = config("v0", tmp_path)
    assert v0.settings == stack_settings("v0")
    assert engine_environment(v0)["VLLM_USE_V1"] == "0"


def stack_settings(name: str) -> dict[str, object]:
    return dict(load_matrix().stack(name).settings)


def test_the_baseline_has_vllms_own_model_guard_and_scheduler(tmp_path: Path) -> None:
    own = config("v1", tmp_path, native=True)
    assert (own.page_format, own.package) == ("png", None)
    assert own.settings["logits_processors"][0].startswith("vllm.")
    assert "scheduler_cls" not in own.settings
    assert engine_environment(own)["DSK_NATIVE_MODEL"] == "1"


def test_another_vllm_than_the_stacks_gets_what_that_release_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = config("v1", tmp_path, "0.33.0")
    assert engine_environment(newer)["VLLM_USE_V2_MODEL_RUNNER"] == "0"
    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "1")
    assert engine_environment(newer)["VLLM_USE_V2_MODEL_RUNNER"] == "1"
    older = config("v1", tmp_path, "0.18.1")
    assert (older.page_format, older.package) == ("png", None)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("0.10.2", r"DeepSeek-OCR needs vLLM 0.8.x or 0.11.1 or later; vLLM here is 0\.10\.2"),
        ("0.8.5", "starts its V0 engine"),
    ],
)
def test_a_vllm_that_cannot_read_is_refused(tmp_path: Path, version: str, reason: str) -> None:
    with pytest.raises(EngineMissing, match=reason):
        config("v1", tmp_path, version)


def test_settings_become_the_servers_flags() -> None:
    settings = {
        "max_model_len": 8192,
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "logits_processors": ["a:B", "c:D"],
    }
    assert command_line(settings) == [
        *("--max-model-len", "8192", "--enforce-eager", "--no-enable-prefix-caching"),
        *("--logits-processors", "a:B", "c:D"),
    ]


def test_a_decoder_with_a_window_gets_an_attention_that_knows_it(tmp_path: Path) -> None:
    profile = models.default()
    language = profile.record.language.model_copy(update={"rswa_window": 128})
    record = profile.record.model_copy(update={"native_vllm": "0.25.1", "language": language})
    windowed = type(profile)(record=record)
    missing = r"needs vLLM 0\.25\.1 or later; stack v1@0\.24\.0 has 0\.24\.0"
    with pytest.raises(EngineMissing, match=missing):
        config("v1@0.24.0", tmp_path, profile=windowed)
    settings = config("v1", tmp_path, profile=windowed).settings
    assert settings["attention_backend"] == "TRITON_ATTN"
    assert config("v1", tmp_path).settings["attention_backend"] == "FLASH_ATTN"


def test_a_stack_without_vllm_is_a_fault_of_the_matrix(tmp_path: Path) -> None:
    stack = load_matrix().stack("v1").model_copy(update={"pins": {"torch": "2.11.0"}})
    with pytest.raises(MatrixInvalid, match="stack 'v1' pins no vLLM"):
        engine_config(stack, models.default(), tmp_path, mode="gundam", patch=True)


def test_a_filter_of_plugins_that_leaves_ours_out_is_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for given, wanted in ((None, None), ("", "dsk"), ("other", "other,dsk"), ("dsk", None)):
        monkeypatch.delenv("VLLM_PLUGINS", raising=False)
        if given is not None:
            monkeypatch.setenv("VLLM_PLUGINS", given)
        assert engine_environment(config("v1", tmp_path)).get("VLLM_PLUGINS") == wanted


def test_engines_meet_on_the_loopback_device_whatever_a_clusters_profile_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "ib0")
    monkeypatch.setenv("VLLM_HOST_IP", "10.0.0.7")
    for stack in ("v0", "v1"):
        variables = os.environ | engine_environment(config(stack, tmp_path))
        assert variables["NCCL_SOCKET_IFNAME"] == variables["GLOO_SOCKET_IFNAME"] == "lo"
        assert variables["VLLM_HOST_IP"] == "127.0.0.1"


def test_a_release_that_nobody_has_looked_at_is_said_to_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert config("v1", tmp_path, "0.40.0").package is None
    assert "dsk does not know vLLM 0.40.0" in " ".join(capsys.readouterr().err.split())

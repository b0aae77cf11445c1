"""Static checks of made-up wheels, each with one thing wrong, and where they are read from."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from tests.unit.conftest import Index, toy_stack, wheel
from tests.unit.updates.made_up import (
    APPLY,
    HEAD_SIZE,
    PROCESSOR,
    REGISTRY,
    TAKES_ZERO,
    put,
    transformers_sources,
    vllm_wheel,
)
from tests.unit.vllm_plugin.guard.test_acceptance import OLD

from dsk.locks import lock_file
from dsk.locks.lock_file import LockedPackage
from dsk.matrix import Stack, load_matrix
from dsk.updates import static, wheel_source
from dsk.updates.checks import guard_runner

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.updates.wheel_finding import Result, WheelFinding

MODELS = list(load_matrix().models.values())
GPU = {
    "kernels": ["8.0", "9.0", "12.0"],
    "min_compute_capability": "8.0",
    "vram_gib": 10,
    "cuda": "13.0",
    "driver": "580",
    "driver_native": "580.65.06",
}


def gpu_stack(folder: Path, version: str) -> Stack:
    pins = {"vllm": version, "torch": "2.13.0"}
    return toy_stack(folder, pins=pins, device="cuda", gpu=GPU)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "dsk"))


def checked(folder: Path, vllm: bytes, version: str, *without: str) -> dict[str, WheelFinding]:
    """The findings on local wheels, by check."""
    files = {
        "vllm": vllm,
        "transformers": wheel("transformers", "5.17.0", sources=transformers_sources(*without)),
    }
    sources = {}
    for name, content in files.items():
        (folder / f"{name}.whl").write_bytes(content)
        sources[name] = wheel_source.local(folder / f"{name}.whl")
    found = static.findings_in(gpu_stack(folder, version), MODELS, **sources)
    return {finding.check: finding for finding in found}


def test_a_release_with_everything_passes_each_check(tmp_path: Path) -> None:
    found = checked(tmp_path, vllm_wheel("0.30.0"), "0.30.0")
    assert len(found) == len(static.CHECKS)
    assert {finding.result for finding in found.values()} == {"right"}
    assert found["kernels"].text.startswith("compiled for sm_75, sm_80")


CLASS = "vllm/model_executor/models/deepseek_ocr.py"
SCHEDULER = "vllm/v1/core/sched/async_scheduler/__init__.py"


@pytest.mark.parametrize(
    ("changed", "check", "result", "says"),
    [
        ({REGISTRY: "_MODELS = {}\n"}, "model classes", "fault", "is not in vLLM's registry"),
        ({REGISTRY: None}, "model classes", "fault", "vLLM keeps its models elsewhere"),
        ({CLASS: "class Other: ...\n"}, "model classes", "fault", "no class DeepseekOCRFor"),
        ({HEAD_SIZE: TAKES_ZERO}, "head size", "mended", "a head_dim of 0 (line 3)"),
        ({HEAD_SIZE: "class Other: ...\n"}, "head size", "fault", "which dsk corrects"),
        (
            {PROCESSOR: APPLY.format(parameters="prompt, mm_data, *, mm_uuids=None")},
            "processor",
            "fault",
            "(self, prompt, mm_data, mm_uuids), where dsk's model is written for",
        ),
        ({SCHEDULER: ""}, "plugin's names", "fault", "async_scheduler.AsyncScheduler"),
        ({SCHEDULER: "def f(:\n"}, "plugin's names", "unknown", "a newer Python"),
    ],
)
def test_one_thing_wrong_is_found_by_its_check_alone(
    tmp_path: Path, changed: dict[str, str | None], check: str, result: Result, says: str
) -> None:
    found = checked(tmp_path, vllm_wheel("0.30.0", changed=changed), "0.30.0")
    assert {name: each.result for name, each in found.items() if each.result != "right"} == {
        check: result
    }
    assert says in found[check].text


def test_kernels_that_the_stack_states_and_the_wheel_lacks_are_found(tmp_path: Path) -> None:
    found = checked(tmp_path, vllm_wheel("0.30.0", cards=(80, 90)), "0.30.0")
    assert found["kernels"].line == (
        "kernels: FAULT: compiled for sm_80, sm_90; not for sm_120, as stated"
    )


def test_a_name_that_the_patch_needs_and_transformers_lacks_is_found(tmp_path: Path) -> None:
    vllm = vllm_wheel("0.30.0")
    names = checked(tmp_path, vllm, "0.30.0", "DynamicCache")["patch's names"]
    assert names.result == "fault"
    assert "transformers.cache_utils.DynamicCache" in names.text
    mixin = checked(tmp_path, vllm, "0.30.0", "GenerationMixin")["patch's names"]
    assert mixin.text == "transformers lacks transformers.generation.GenerationMixin"


def test_a_guard_that_a_gpu_would_refuse_is_found_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_runner, "own_source", lambda _: OLD)
    vllm = vllm_wheel("0.31.0")
    guard = checked(tmp_path, vllm, "0.31.0")["guard on a GPU"]
    assert guard.result == "fault"
    assert "with vLLM 0.31.0 a GPU takes the V2 model runner, which refuses dsk." in guard.text
    older = checked(tmp_path, vllm_wheel("0.30.0"), "0.30.0")["guard on a GPU"]
    assert older.result == "right"


def test_without_a_gpu_or_a_named_guard_there_is_no_guard_to_judge() -> None:
    matrix = load_matrix()
    nothing = wheel_source.WheelSource("none.whl", "0" * 64, io.BytesIO)
    for name in ("cpu", "cpu-v0", "v0"):
        found = static.findings_in(matrix.stack(name), MODELS, vllm=nothing, transformers=nothing)
        assert found[0].check == guard_runner.NAME
        assert found[0].result == "right"


def test_a_release_that_dsk_does_not_know_is_said_to_need_a_row(tmp_path: Path) -> None:
    found = checked(tmp_path, vllm_wheel("0.99.0"), "0.99.0")
    assert found["plugin's names"].result == "fault"
    assert "dsk does not know vLLM 0.99.0" in found["plugin's names"].text


def locked(folder: Path, index: Index) -> Stack:
    """A stack with a lock of two wheels on the index."""
    stack = gpu_stack(folder, "0.30.0")
    wheels = {
        ("vllm", "0.30.0"): vllm_wheel("0.30.0"),
        ("transformers", "5.17.0"): wheel("transformers", "5.17.0", sources=transformers_sources()),
    }
    packages = [
        LockedPackage(
            name=name,
            version=version,
            file=f"{name}-{version}-py3-none-any.whl",
            sha256=put(index, content, name, version),
            via=("the pins of toy",),
        )
        for (name, version), content in wheels.items()
    ]
    stack.lock_file.parent.mkdir(exist_ok=True)
    stack.lock_file.write_text(lock_file.dump(stack.id, packages), "utf-8")
    return stack


def test_wheels_on_the_index_are_read_once_and_then_need_no_network(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = locked(tmp_path, index)
    first = static.findings(stack, MODELS)
    assert {finding.result for finding in first} == {"right"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    index.asked.clear()
    assert static.findings(stack, MODELS) == first
    assert index.asked == []


def test_what_is_neither_cached_nor_to_be_had_is_unknown_not_right(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = locked(tmp_path, index)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    found = static.findings(stack, MODELS)
    assert {finding.result for finding in found} == {"unknown"}
    assert found[0].line.startswith("guard on a GPU: UNKNOWN: not in the cache: ")

"""The guard that dsk names, judged from a vLLM wheel on a real index before it is installed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.unit.conftest import Index, toy_stack, wheel
from tests.unit.vllm_plugin.guard.test_acceptance import OLD, RELEASES

from dsk.errors import EngineMissing
from dsk.locks import guard_check, lock_file
from dsk.locks.guard_check import guards_of
from dsk.locks.lock_file import LockedPackage
from dsk.matrix import Stack, load_matrix

if TYPE_CHECKING:
    from pathlib import Path

MODELS = list(load_matrix().models.values())
GUARD = "dsk.vllm_plugin.v1.guard:NgramGuardProcessor"


@pytest.fixture
def releases(index: Index) -> Index:
    for version, sources in RELEASES.items():
        content = wheel("vllm", version, sources=sources)
        index.add(f"vllm-{version}-py3-none-any.whl", content)
    return index


def gpu_stack(tmp_path: Path, version: str, sha256: str = "") -> Stack:
    """A stack for a GPU that locks a vLLM release of these."""
    pins = {"vllm": version, "torch": "2.13.0", "transformers": "5.17.0"}
    stack = toy_stack(tmp_path, pins=pins).model_copy(update={"device": "cuda"})
    locked = LockedPackage(
        name="vllm",
        version=version,
        file=f"vllm-{version}-py3-none-any.whl",
        sha256=sha256
        or hashlib.sha256(wheel("vllm", version, sources=RELEASES[version])).hexdigest(),
        via=("the pins of toy",),
    )
    stack.lock_file.parent.mkdir(exist_ok=True)
    stack.lock_file.write_text(lock_file.dump(stack.id, [locked]), "utf-8")
    return stack


def test_the_locked_release_is_judged_and_then_needs_no_network(
    releases: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = gpu_stack(tmp_path, "0.30.0")
    (judged,) = guards_of(stack, MODELS)
    assert (judged.accepted, judged.runner) == (True, "V1")
    assert GUARD in judged.text
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    assert guards_of(stack, MODELS) == [judged]
    with pytest.raises(EngineMissing):
        guards_of(stack, MODELS, version="0.31.0")


def test_a_guard_of_the_old_interface_alone_is_refused_before_anything_is_installed(
    releases: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_check, "_own_source", lambda _: OLD)
    stack = gpu_stack(tmp_path, "0.30.0")
    (refused,) = guards_of(stack, MODELS, version="0.31.0")
    assert (refused.accepted, refused.runner) == (False, "V2")
    assert refused.text.startswith(
        f"with vLLM 0.31.0 a GPU takes the V2 model runner, which refuses {GUARD}"
    )
    (accepted,) = guards_of(stack, MODELS)
    assert accepted.accepted


def test_without_a_gpu_or_a_named_guard_there_is_nothing_to_judge(tmp_path: Path) -> None:
    matrix = load_matrix()
    for name in ("cpu", "cpu-v0", "v0"):
        assert guards_of(matrix.stack(name), MODELS) == []


def test_a_hash_that_the_index_does_not_have_is_left_to_the_check_of_the_lock(
    releases: Index, tmp_path: Path
) -> None:
    assert guards_of(gpu_stack(tmp_path, "0.30.0", "0" * 64), MODELS) == []

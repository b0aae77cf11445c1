"""Whom a container runs as, and what it keeps."""

import os
from pathlib import Path

import pytest

from dsk.images.local_images import LocalImage
from dsk.matrix import load_matrix
from dsk.runtime.container import container

SCRIPT = """\
#!/bin/sh
[ $1 = info ] && echo '[%s]'
[ $1 = run ] && echo "$@" > %s
:
"""


def run(
    image: str,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: list[str],
    stack: str = "cpu",
    gpus: tuple[str, ...] = (),
) -> list[str]:
    """What docker is told when a user without root runs an image; the engine says so of itself."""
    program, typed = out / "docker", out / "typed"
    program.write_text(SCRIPT % (",".join(f'"{one}"' for one in engine), typed))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(out), prepend=":")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getegid", lambda: 1234)
    found = LocalImage(id=image, labels={}, created="")
    matrix = load_matrix()
    with container(matrix.stack(stack), found, reads=[], out=out, gpus=gpus) as runtime:
        assert runtime.start("dsk.ocr.run.runner", []).wait() == 0
    return typed.read_text().split()


@pytest.mark.parametrize(
    ("engine", "user"),
    [
        (["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"], "0:0"),
        (["name=seccomp,profile=builtin", "name=cgroupns"], "1234:1234"),
    ],
)
def test_what_is_written_is_the_caller_s_under_either_engine(
    engine: list[str], user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    assert f"--user={user}" in run("sha256:1", tmp_path, monkeypatch, engine)


def test_memory_swap_and_processes_are_limited_by_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": (100 << 30) // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    options = run("sha256:1", tmp_path, monkeypatch, [])
    assert {"--pids-limit=8192", f"--memory={95 << 30}", f"--memory-swap={95 << 30}"} <= {*options}


def test_kernels_are_kept_for_the_next_engine_of_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    kept = tmp_path / "cache/kernels"
    for image in ("sha256:1", "sha256:1", "sha256:2"):
        said = run(image, tmp_path, monkeypatch, [])
    assert f"--mount=type=bind,source={kept}/2-1234,target=/var/cache/dsk" in said
    assert "--env=TRITON_CACHE_DIR=/var/cache/dsk/triton" in said
    assert sorted(one.name for one in kept.iterdir()) == ["1-1234", "2-1234"]


def test_where_none_can_be_kept_an_engine_starts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "file"))
    assert "/var/cache/dsk" not in " ".join(run("sha256:1", tmp_path, monkeypatch, []))


def test_keys_of_ours_do_not_get_into_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DSK_API_KEY", "planted")
    monkeypatch.setenv("VLLM_API_KEY", "planted")
    monkeypatch.setenv("DSK_INDEX", "https://alice:planted@index.example/simple")
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    typed = run("sha256:1", tmp_path, monkeypatch, [])
    passed = [option for option in typed if option.startswith("--env=")]
    assert "--env=NCCL_DEBUG" in passed
    assert not [option for option in passed if "KEY" in option or "INDEX" in option]
    assert "planted" not in " ".join(typed)


@pytest.mark.parametrize(
    ("gpus", "option", "passed_on"),
    [
        ((), "--gpus=all", True),
        (("GPU-1",), '--gpus="device=GPU-1"', False),
        (("GPU-1", "MIG-2"), '--gpus="device=GPU-1,MIG-2"', False),
    ],
)
def test_a_container_gets_the_chosen_gpus_and_no_others(
    gpus: tuple[str, ...],
    option: str,
    passed_on: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    options = run("sha256:1", tmp_path, monkeypatch, [], "v1", gpus)
    assert [each for each in options if each.startswith("--gpus")] == [option]
    assert ("--env=CUDA_VISIBLE_DEVICES" in options) == passed_on

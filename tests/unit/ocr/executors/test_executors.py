"""Executors: a kind is a module, found by being there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dsk.errors import UsageProblem
from dsk.matrix import load_matrix
from dsk.ocr import executors
from dsk.ocr.executors.base import ExecutorOptions

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
RUNTIMES = {"elsewhere": "another machine"}


class Elsewhere:
    def require(self): ...
    def execute(self, plan, listener): return True


def executor(runtime, stack, matrix, options):
    return Elsewhere()
"""


@pytest.fixture(autouse=True)
def looked_up_anew() -> None:
    executors.runtimes.cache_clear()
    executors._modules.cache_clear()


def test_a_module_in_the_folder_is_a_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere.py").write_text(MODULE)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path)])
    assert executors.runtimes()["elsewhere"] == "another machine"
    assert next(iter(executors.runtimes())) == "venv"
    found = executors.executor_for("elsewhere", None, load_matrix(), ExecutorOptions())
    assert type(found).__name__ == "Elsewhere"


def test_an_unknown_runtime_names_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match=r"choose one of venv, .*in-place"):
        executors.executor_for("nowhere", None, load_matrix(), ExecutorOptions())


def test_servers_read_in_no_container() -> None:
    with pytest.raises(UsageProblem, match="leave --runtime out"):
        executors.executor_for("container", None, load_matrix(), ExecutorOptions())

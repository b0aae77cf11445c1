"""Runtimes: dsk itself runs on a stack's versions, and nothing of the caller's leaks in."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dsk import paths
from dsk.errors import EngineMissing, UsageProblem
from dsk.matrix import Stack
from dsk.runtime import environments, link
from dsk.runtime.base import Runtime, runtime_for


@pytest.fixture
def created(stack: Stack) -> Stack:
    environments.create(stack, progress=lambda *_: None)
    return stack


def said(runtime: Runtime, program: str, **settings: Any) -> Any:
    """What a program run there prints, as JSON."""
    with runtime.start(
        "dsk_test_speaker", [f"import json; {program}"], stdout=subprocess.PIPE, **settings
    ) as child:
        assert child.process.stdout
        with child.process.stdout as stream:
            text = stream.read()
        assert child.wait() == 0
    return json.loads(text)


def test_the_environments_python_finds_this_dsk(created: Stack) -> None:
    # Only modules that need nothing outside the standard library: the tiny lock holds no more.
    found = said(runtime_for(created), "import dsk.errors as e; print(json.dumps(e.__file__))")
    assert Path(found).resolve() == paths.PACKAGE / "errors.py"


def test_its_metadata_finds_the_entry_points_that_pyproject_declares(created: Stack) -> None:
    project = tomllib.loads((paths.CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"console_scripts": project["scripts"], **project.get("entry-points", {})}
    program = (
        "from importlib.metadata import entry_points as e, version as v; "
        f"found = [point for group in {list(groups)} for point in e(group=group)]; "
        "print(json.dumps([v('dsk-toolkit'), sorted("
        "[p.group, p.name, p.value] for p in found if p.value.startswith('dsk.'))]))"
    )
    declared = sorted([group, *item] for group, names in groups.items() for item in names.items())
    assert said(runtime_for(created), program) == ["0.1.0", declared]


def test_the_environment_itself_is_not_touched(created: Stack) -> None:
    place = environments.path_of(created)
    before = sorted(str(path) for path in place.rglob("*") if "__pycache__" not in str(path))
    assert runtime_for(created).start("dsk_test_speaker", ["import dsk.errors"]).wait() == 0
    after = sorted(str(path) for path in place.rglob("*") if "__pycache__" not in str(path))
    assert before == after


def test_neither_folder_nor_variables_let_the_callers_packages_in(
    created: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "intruder.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    program = (
        "import importlib.util as u; "
        "print(json.dumps([n for n in ('torch', 'intruder') if u.find_spec(n)]))"
    )
    assert said(runtime_for(created), program) == []


def test_the_stacks_variables_are_set_and_nothing_is_told_to_anybody(
    created: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_TEST_STACK_SAYS", "something else")
    names = ["DSK_TEST_STACK_SAYS", "HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "MORE"]
    program = f"import os; print(json.dumps([os.environ[n] for n in {names}]))"
    found = said(runtime_for(created), program, environment={"MORE": "x"})
    assert found == ["hello", "1", "1", "1", "x"]


def test_the_runners_exit_code_is_returned(created: Stack) -> None:
    assert runtime_for(created).start("dsk_test_speaker", ["sys.exit(11)"]).wait() == 11


def test_without_its_environment_the_command_that_makes_it_is_said(stack: Stack) -> None:
    with pytest.raises(EngineMissing, match="dsk env create --stack tiny"):
        runtime_for(stack).start("dsk_test_speaker", [])


def test_in_place_is_this_interpreter_with_the_stacks_variables(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import json, os, sys; said = [sys.prefix, os.environ['DSK_TEST_STACK_SAYS']]"
    (tmp_path / "dsk_test_here.py").write_text(f"{code}; print(json.dumps(said))")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    runtime = runtime_for(stack, "in-place")
    with runtime.start("dsk_test_here", [], stdout=subprocess.PIPE) as child:
        assert child.process.stdout
        with child.process.stdout as stream:
            assert json.load(stream) == [sys.prefix, "hello"]
        assert child.wait() == 0


def test_an_unknown_kind_names_those_there_are(stack: Stack) -> None:
    with pytest.raises(UsageProblem, match="venv, in-place"):
        runtime_for(stack, "cloud")


def test_the_link_is_made_once_and_mended_when_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path))
    first = link.folder()
    made = first.stat().st_mtime_ns
    assert link.folder() == first
    assert first.stat().st_mtime_ns == made
    (first / "dsk").unlink()
    assert (link.folder() / "dsk" / "errors.py").is_file()
    assert [place.name for place in first.parent.iterdir()] == [first.name]

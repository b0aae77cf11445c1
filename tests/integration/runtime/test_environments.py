"""Environments: there whole or not at all, whatever happens while they are made."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsk.errors import EngineMissing, UsageProblem, VerificationFailed
from dsk.matrix import Stack
from dsk.runtime import environments

DSK = [sys.executable, "-c", "from dsk.cli import main; main()"]


def silent(_done: int, _total: int, _doing: str) -> None:
    """A progress that nobody watches."""


def dsk(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DSK, *arguments], capture_output=True, text=True, check=False)


def left_over() -> list[str]:
    return [place.name for place in environments.folder().glob("*.partial-*")]


def wait_for(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_holds_the_locked_packages_and_nothing_else(stack: Stack) -> None:
    made = environments.create(stack, progress=silent)
    assert made.record.versions == {"dsk-test-speaker": "1.0", "dsk-test-quiet": "2.5"}
    assert made.path == environments.path_of(stack)
    said = subprocess.check_output(
        [made.python, "-m", "dsk_test_speaker", "print(sys.prefix)"], text=True
    )
    assert Path(said.strip()) == made.path


def test_its_scripts_work_where_it_was_moved_to(stack: Stack) -> None:
    made = environments.create(stack, progress=silent)
    script = made.path / "bin" / "dsk-test-speaker"
    assert subprocess.check_output([script, "print(6 * 7)"], text=True) == "42\n"


def test_progress_ends_with_every_package(stack: Stack) -> None:
    told: list[tuple[int, int]] = []
    environments.create(stack, progress=lambda done, total, _: told.append((done, total)))
    assert told[-1] == (2, 2)


def test_what_is_there_is_not_made_again(stack: Stack, index: Any) -> None:
    first = environments.create(stack, progress=silent)
    index.asked.clear()
    assert environments.create(stack, progress=silent) == first
    assert index.asked == []


def test_a_create_killed_in_the_middle_leaves_nothing_that_looks_like_an_environment(
    stack: Stack, index: Any
) -> None:
    index.seconds_a_wheel = 60
    process = subprocess.Popen([*DSK, "env", "create", "--stack", "tiny"], stderr=subprocess.PIPE)
    assert process.stderr
    wait_for(lambda: any(path.endswith(".whl") for path in index.asked))
    process.kill()
    process.communicate()
    assert left_over()
    assert environments.find(stack) is None
    assert environments.present() == []
    partial = str(environments.folder() / left_over()[0])
    wait_for(lambda: not any(partial in command for command in running_commands()))

    index.seconds_a_wheel = 0
    environments.create(stack, progress=silent)
    assert environments.find(stack) is not None
    assert left_over() == []


def running_commands() -> list[str]:
    """The command lines of every process that is alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(place.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_an_interrupted_create_cleans_up_after_itself(stack: Stack, index: Any) -> None:
    index.seconds_a_wheel = 60
    process = subprocess.Popen([*DSK, "env", "create", "--stack", "tiny"])
    wait_for(lambda: any(path.endswith(".whl") for path in index.asked))
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    assert left_over() == []


def test_two_creates_at_once_make_one_environment(stack: Stack, index: Any) -> None:
    index.seconds_a_wheel = 0.5
    command = [*DSK, "env", "create", "--stack", "tiny"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert len([path for path in index.asked if path.endswith(".whl")]) <= 4  # metadata, wheel
    assert left_over() == []


def test_what_others_are_filling_is_not_swept_away(stack: Stack) -> None:
    place = environments.folder() / "other-0123456789abcdef"
    busy = place.with_name(place.name + ".partial-x")
    busy.mkdir(parents=True)
    with environments.locked(place, progress=silent):
        environments.create(stack, progress=silent)
        assert busy.exists()
    environments.remove(environments.require(stack))
    environments.create(stack, progress=silent)
    assert not busy.exists()


def test_another_hash_than_the_locks_is_refused(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(sha256="0" * 64)
    with pytest.raises(VerificationFailed, match="another sha256"):
        environments.create(stack, progress=silent)
    assert environments.find(stack) is None
    assert left_over() == []


def test_without_an_index_one_line_says_what_to_do(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    done = dsk("env", "create", "--stack", "tiny")
    assert done.returncode == 7
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "the package index did not answer" in errors[0]
    assert "check the network" in errors[0]


def test_a_package_that_the_index_lacks_is_named(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(absent="dsk_test_absent")
    with pytest.raises(EngineMissing, match="dsk-test-absent"):
        environments.create(stack, progress=silent)


def test_a_cache_that_cannot_be_written_is_said(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "file"))
    done = dsk("env", "create", "--stack", "tiny")
    assert done.returncode == 7
    assert "DSK_CACHE" in done.stderr


def test_an_environment_whose_python_is_gone_is_made_anew(stack: Stack) -> None:
    made = environments.create(stack, progress=silent)
    made.python.unlink()
    made.python.symlink_to("/nowhere/python3.11")
    assert environments.find(stack) is None
    assert environments.create(stack, progress=silent).python.exists()


def test_what_the_callers_python_is_told_does_not_leak_in(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_TARGET", "/nowhere")
    monkeypatch.setenv("UV_CONSTRAINT", "/nowhere")
    monkeypatch.setenv("PIP_TARGET", "/nowhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    assert environments.create(stack, progress=silent).python.exists()


def test_a_changed_lock_is_another_environment(
    stack: Stack, make_stack: Callable[..., Stack]
) -> None:
    environments.create(stack, progress=silent)
    changed = make_stack(absent="dsk_test_absent")
    assert environments.find(changed) is None
    assert "lock has changed" in dsk("env", "list").stdout


def test_the_command_line_lists_finds_and_removes(stack: Stack) -> None:
    made = environments.create(stack, progress=silent)
    assert dsk("env", "path", "--stack", "tiny").stdout == f"{made.path}\n"
    listed = dsk("env", "list").stdout.split()
    assert listed[:3] == ["tiny", "2", "packages"]
    assert "current" in listed
    assert dsk("env", "remove", "--stack", "tiny").returncode == 0
    assert not made.path.exists()
    missing = dsk("env", "path", "--stack", "tiny")
    assert missing.returncode == EngineMissing.exit_code
    assert "dsk env create --stack tiny" in missing.stderr


@pytest.mark.parametrize("arguments", [["remove"], ["remove", "--all", "--stack", "tiny"]])
def test_remove_wants_to_know_which(stack: Stack, arguments: list[str]) -> None:
    assert dsk("env", *arguments).returncode == UsageProblem.exit_code


def test_an_unknown_stack_names_those_there_are(stack: Stack) -> None:
    done = dsk("env", "create", "--stack", "tinny")
    assert done.returncode == UsageProblem.exit_code
    assert "tiny" in done.stderr


def test_the_environment_is_readable_by_others(stack: Stack) -> None:
    made = environments.create(stack, progress=silent)
    assert made.path.stat().st_mode & 0o055 == 0o055

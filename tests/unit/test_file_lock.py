"""Locks: the kernel's, or a lock file where the file system refuses."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from dsk import file_lock
from dsk.errors import UsageProblem
from dsk.file_lock import LOCK_FILE, LockHeldError, locked, locked_file

if TYPE_CHECKING:
    from pathlib import Path

REFUSALS = [
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOLCK,
    errno.EBADF,
    errno.EINVAL,
    errno.EPERM,
    errno.EACCES,
]


def refuse(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(descriptor: object, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


def opened(held: ExitStack, folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    held.callback(os.close, descriptor)
    return descriptor


def holder(**changes: Any) -> str:
    mine = file_lock._this_process()
    return json.dumps(vars(mine) | changes)


def test_the_kernels_lock_leaves_no_file(tmp_path: Path) -> None:
    with ExitStack() as held:
        descriptor, other = opened(held, tmp_path), opened(held, tmp_path)
        with locked(descriptor, tmp_path):
            with pytest.raises(LockHeldError), locked(other, tmp_path):
                pass
            assert list(tmp_path.iterdir()) == []
        with locked(other, tmp_path):
            pass


@pytest.mark.parametrize("code", REFUSALS, ids=errno.errorcode.get)
def test_a_lock_file_stands_in_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refuse(monkeypatch, code)
    warnings: list[str] = []
    with ExitStack() as held:
        descriptor = opened(held, tmp_path)
        with locked(descriptor, tmp_path, warn=warnings.append):
            written = json.loads((tmp_path / LOCK_FILE).read_text())
            assert written["pid"] == os.getpid()
            with (
                pytest.raises(LockHeldError, match=f"process {os.getpid()} holds it"),
                locked(descriptor, tmp_path),
            ):
                pass
        assert list(tmp_path.iterdir()) == []
    assert len(warnings) == 1
    assert f"has no file locks ({os.strerror(code)}): the lock file" in warnings[0]


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (holder(pid=2**22 + 1), 0),  # beyond the kernel's largest process id
        (holder(start=1), 0),  # another process has the number now
        ("", 120),  # a crash between creating and writing it
        ("[" * 100_000, 120),
        ('{"host": 1}', 120),
        (holder(pid=10**300), 0),
    ],
    ids=["gone", "number used again", "empty", "nested", "other fields", "huge"],
)
@pytest.mark.parametrize("kernel", [True, False], ids=["flock", "none"])
def test_what_a_crash_left_does_not_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, seconds: int, kernel: bool
) -> None:
    if not kernel:
        refuse(monkeypatch, errno.ENOLCK)
    file = tmp_path / LOCK_FILE
    file.write_text(content)
    os.utime(file, (time.time() - seconds,) * 2)
    with ExitStack() as held, locked(opened(held, tmp_path), tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kernel", [True, False], ids=["flock", "none"])
def test_a_holder_on_another_machine_counts_and_its_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: bool
) -> None:
    if not kernel:
        refuse(monkeypatch, errno.ENOLCK)
    for change in ({"host": "node7\x1b[2J"}, {"space": "an earlier boot"}):
        (tmp_path / LOCK_FILE).write_text(holder(**change))
        with (
            ExitStack() as held,
            pytest.raises(LockHeldError, match=r"remove that file$") as refused,
            locked(opened(held, tmp_path), tmp_path),
        ):
            pass
        assert str(tmp_path / LOCK_FILE) in str(refused.value)
        assert "\x1b" not in str(refused.value)


def test_a_holder_that_proc_hides_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hidepid, processes of other users look as if they had ended."""
    refuse(monkeypatch, errno.ENOLCK)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    with ExitStack() as held:
        descriptor = opened(held, tmp_path)
        file = tmp_path / LOCK_FILE
        living, gone = holder(pid=1, start=7), holder(pid=ended.pid, start=7)
        monkeypatch.setattr(file_lock, "_start", lambda pid: None)
        file.write_text(living)
        with pytest.raises(LockHeldError, match="process 1 "), locked(descriptor, tmp_path):
            pass
        assert file.read_text() == living
        file.write_text(gone)
        with locked(descriptor, tmp_path):
            assert file.read_text() != gone


def test_a_lock_file_that_is_just_being_written_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.ENOSYS)
    (tmp_path / LOCK_FILE).touch()
    with ExitStack() as held, pytest.raises(LockHeldError, match="has just taken it"):
        held.enter_context(locked(opened(held, tmp_path), tmp_path))


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_file_that_is_none_is_neither_followed_nor_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    refuse(monkeypatch, errno.ENOSYS)
    folder = tmp_path / "out"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    match kind:
        case "link":
            (folder / LOCK_FILE).symlink_to(victim)
        case "pipe":
            os.mkfifo(folder / LOCK_FILE)
        case _:
            (folder / LOCK_FILE).mkdir()
    with ExitStack() as held, pytest.raises(UsageProblem, match="remove it"):
        held.enter_context(locked(opened(held, folder), folder))
    assert victim.read_text() == "precious"


def test_a_folder_that_takes_no_file_either_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.ENOSYS)
    with ExitStack() as held:
        descriptor = opened(held, tmp_path)
        tmp_path.rmdir()
        with pytest.raises(UsageProblem, match="choose a folder on another disk"):
            held.enter_context(locked(descriptor, tmp_path))
        tmp_path.mkdir()


HOLDS = """
import errno, fcntl, os, pathlib, sys, time
from dsk.file_lock import locked_file
if sys.argv[2] == "none":
    def flock(*_):
        raise OSError(errno.ENOSYS, "no")
    fcntl.flock = flock
with locked_file(pathlib.Path(sys.argv[1]), warn=lambda line: None):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


@pytest.mark.parametrize("kernel", ["flock", "none"])
def test_a_killed_holder_holds_nothing_and_a_living_one_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    if kernel == "none":
        refuse(monkeypatch, errno.ENOSYS)
    path = tmp_path / "environment"
    arguments = [sys.executable, "-c", HOLDS, str(path), kernel]
    with subprocess.Popen([*arguments, "60"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LockHeldError), locked_file(path, wait=False, warn=lambda _: None):
            pass
        process.kill()
    with locked_file(path, wait=False, warn=lambda _: None):
        pass
    reasons: list[str] = []
    with subprocess.Popen([*arguments, "1"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with locked_file(path, on_wait=reasons.append, warn=lambda _: None):
            assert process.wait(10) == 0
    assert len(reasons) == 1

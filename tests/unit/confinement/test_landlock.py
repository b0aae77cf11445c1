"""Landlock: asked for by version, applied by rules, and done without where there is none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from dsk.confinement import landlock

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = """
import pathlib, sys
from dsk.confinement import landlock, privileges
read, write, missing, *tried = map(pathlib.Path, sys.argv[1:])
rules = [(read, landlock.READ), (write, landlock.WRITE), (missing, landlock.READ)]
privileges.forbid_new_privileges()
assert landlock.restrict(rules)
for file in tried:
    for action in (pathlib.Path.read_bytes, lambda file: file.write_bytes(b"")):
        try:
            action(file)
        except PermissionError:
            print("no", end=" ")
        else:
            print("yes", end=" ")
"""


def refusing(number: int) -> Callable[..., int]:
    def refuse(*_: object) -> int:
        raise OSError(number, "refused")

    return refuse


def test_rules_say_what_is_left(tmp_path: Path) -> None:
    for name in ("read", "write", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    files = [tmp_path / name / "file" for name in ("read", "write", "other")]
    given = [tmp_path / "read", tmp_path / "write", tmp_path / "missing", *files]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *given], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["yes", "no", "yes", "yes", "no", "no"]


def test_a_rule_for_a_file_is_for_that_file(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    given = [tmp_path / "a", tmp_path / "b", tmp_path / "missing"]
    tried = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *given, *tried], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["yes", "no", "yes", "yes", "no", "no"]


def test_a_folder_in_a_files_place_is_left_out(tmp_path: Path) -> None:
    """Else a link to /, put in a document's place for a moment, would open everything."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").touch()
    (tmp_path / "a.pdf").symlink_to(tmp_path / "folder")
    program = PROGRAM.replace("(read, landlock.READ)", "(read, landlock.FileAccess.READ_FILE)")
    given = [tmp_path / "a.pdf", tmp_path / "missing", tmp_path / "missing"]
    done = subprocess.run(
        [sys.executable, "-c", program, *given, tmp_path / "folder/file"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["no", "no"]


def test_what_is_out_of_reach_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def closed(path: Path, flags: int) -> int:
        if path == tmp_path / "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(os, "open", closed)
    calls = Mock(side_effect=[7, os.dup(0), 0, 0])  # version, rules, one rule, restriction
    monkeypatch.setattr(landlock, "system_call", calls)
    rules = [(tmp_path / name, landlock.READ) for name in ("closed", "missing", "")]
    assert landlock.restrict(rules)
    assert calls.call_count == 4


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_a_kernel_without_it_is_done_without(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "system_call", refusing(number))
    assert landlock.offered() == (0, number)
    assert not landlock.restrict([(Path("/usr"), landlock.READ)])


def test_an_error_that_nobody_knows_is_not_taken_for_a_kernel_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "system_call", refusing(errno.EIO))
    with pytest.raises(OSError, match="refused"):
        landlock.restrict([])


def test_each_version_is_asked_for_what_it_knows() -> None:
    access = landlock.FileAccess
    assert access.REFER not in landlock._handled(1)
    assert access.REFER in landlock._handled(2)
    assert access.TRUNCATE not in landlock._handled(2)
    assert access.TRUNCATE in landlock._handled(3)
    assert access.IOCTL_DEV not in landlock._handled(4)
    assert access.IOCTL_DEV in landlock._handled(5)
    assert landlock._handled(5) == landlock._handled(99)

"""Files of ours: whole or not there, with the user's modes, and never by way of a link."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from dsk import files
from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[0o022, 0o077, 0o002, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_umask_decides_as_it_does_for_every_program(tmp_path: Path, umask: int) -> None:
    assert files.umask() == umask
    files.write_atomically(tmp_path / "a" / "text", "x", beneath=tmp_path)
    with files.open_log(tmp_path / "log"):
        pass
    os.close(files.open_regular(tmp_path / "ledger", os.O_RDWR | os.O_CREAT))
    for name in ("a/text", "log", "ledger"):
        assert mode(tmp_path / name) == 0o666 & ~umask
    assert mode(tmp_path / "a") == 0o777 & ~umask


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    broken: dict[str, bytes] = {}
    with pytest.raises(KeyError), files.writing_atomically(file) as stream:
        stream.write(b"half" + broken["none"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "old"


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name, place in (("symbolic", os.symlink), ("hard", os.link)):
        place(victim, tmp_path / name)
        files.write_atomically(tmp_path / name, "ours")
        assert (tmp_path / name).read_text() == "ours"
    (tmp_path / "log").symlink_to(victim)
    with files.open_log(tmp_path / "log") as log:
        log.write("a line")
    assert victim.read_text() == "precious"
    assert (tmp_path / "log").read_text() == "a line"


WRITING = os.O_WRONLY | os.O_CREAT
OPENED = {"to write": WRITING, "to empty": WRITING | os.O_TRUNC, "to read": os.O_RDONLY}


@pytest.mark.parametrize("flags", OPENED.values(), ids=OPENED)
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "device", "folder", "socket"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str, flags: int) -> None:
    path = tmp_path / "name"
    (tmp_path / "victim").write_text("precious")
    match kind:
        case "link":
            path.symlink_to(tmp_path / "victim")
        case "dangling link":
            path.symlink_to(tmp_path / "none")
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
    with pytest.raises(OSError, match=r".") as refused:
        files.open_regular(path, flags)
    assert refused.value.errno in (errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EISDIR)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["name", "victim"]
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_file_with_a_second_name_is_read_but_not_written(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "ledger").hardlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="hard link"):
        files.open_regular(tmp_path / "ledger", os.O_RDWR | os.O_TRUNC)
    assert files.read_regular(tmp_path / "ledger") == b"precious"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "job.json").open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(OSError, match="too large"):
        files.read_regular(tmp_path / "job.json")


def test_below_the_output_folder_no_folder_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")  # the user's choice
    files.write_atomically(tmp_path / "out/a/b/file", "x", beneath=tmp_path / "out")
    assert (tmp_path / "real/a/b/file").read_text() == "x"
    (tmp_path / "elsewhere/b").mkdir(parents=True)
    (tmp_path / "real/c").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageProblem, match="c is a link: remove it"):
        files.write_atomically(tmp_path / "out/c/b/file", "x", beneath=tmp_path / "out")
    with pytest.raises(UsageProblem, match="leads upwards"):
        files.write_atomically(tmp_path / "out/../file", "x", beneath=tmp_path / "out")
    assert list((tmp_path / "elsewhere").rglob("*")) == [tmp_path / "elsewhere/b"]


def test_a_folder_that_is_swapped_for_a_link_all_the_time_leads_nowhere(tmp_path: Path) -> None:
    """The folder is checked by what is opened, not before it."""
    (tmp_path / "out/doc").mkdir(parents=True)
    (tmp_path / "victim").mkdir()
    ended = threading.Event()

    doc, kept = tmp_path / "out/doc", tmp_path / "out/kept"

    def swap() -> None:
        # What is written may make the folder anew just then: each step may fail.
        while not ended.is_set():
            for step in (
                lambda: doc.rename(kept),
                lambda: doc.symlink_to(tmp_path / "victim"),
                doc.unlink,
                lambda: kept.rename(doc),
            ):
                with contextlib.suppress(OSError):
                    step()

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(300):
            with contextlib.suppress(UsageProblem):
                files.write_atomically(tmp_path / "out/doc/file", "x", beneath=tmp_path / "out")
    finally:
        ended.set()
        swapping.join()
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_folder_is_synced_where_its_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append("folder" if is_folder else "file")
        if is_folder and failure:
            raise OSError(failure, os.strerror(failure))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for failure in (0, errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):
        synced.clear()
        files.write_atomically(tmp_path / "file", str(failure))
        assert synced == ["file", "folder"]
        assert (tmp_path / "file").read_text() == str(failure)
    failure = errno.EIO
    with pytest.raises(UsageProblem, match="Input/output error"):
        files.write_atomically(tmp_path / "file", "x")
    # Many files at once are synced by one call, of their writer's.
    synced.clear()
    with files.writing_atomically(tmp_path / "figure") as stream:
        stream.write(b"x")
    assert synced == ["file"]


def test_only_what_is_left_of_writing_is_removed(tmp_path: Path) -> None:
    for name in (".dsk-0123456789abcdef", ".dsk-ab_cdef0", "doc/.dsk-fedcba9876543210"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    kept = [".dsk-x", ".dsk-notes.txt", "doc/text.md", ".dsk-0123456789abcdee/file"]
    for name in kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / ".dsk-x").mkdir()
    for name in kept[1:]:
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "doc")
    files.remove_unfinished(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {*kept, "doc", "link", ".dsk-0123456789abcdee"}


def test_folders_within_folders_end_no_walk(tmp_path: Path) -> None:
    """As a document that was taken over may leave them, or an archive brings them."""
    levels = (
        1200  # more than Python calls itself; with one letter each it is a path that Linux takes
    )
    inner = os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a", dir_fd=inner)
        outer, inner = inner, os.open("a", os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(os.open(".dsk-0123456789abcdef", os.O_CREAT, dir_fd=inner))
    files.remove_unfinished(tmp_path)
    assert os.listdir(inner) == []  # noqa: PTH208 - by its descriptor
    os.close(inner)
    assert sum(1 for _ in files.walk(tmp_path)) == levels + 1
    # pytest's own removal would call itself, too.
    for _ in range(levels):
        folder = tmp_path / "a"
        (folder / "a").rename(tmp_path / "b") if (folder / "a").is_dir() else None
        folder.rmdir()
        if (tmp_path / "b").is_dir():
            (tmp_path / "b").rename(folder)


def test_a_walk_follows_no_link_and_leaves_out_what_is_taken_away(tmp_path: Path) -> None:
    for name in ("a/b", "c/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to("nowhere")
    found = {}
    for parent, folders, names in files.walk(tmp_path):
        found[str(parent.relative_to(tmp_path))] = (sorted(folders), names)
        if "c" in folders:
            folders.remove("c")
    top = (["a", "c", "link", "loop"], ["broken"])
    assert found == {".": top, "a": (["b"], []), "a/b": ([], [])}
    errors: list[OSError] = []
    assert list(files.walk(tmp_path / "missing", errors.append)) == []
    assert [error.errno for error in errors] == [errno.ENOENT]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys, pathlib; from dsk import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "files.write_atomically(pathlib.Path(sys.argv[1]), 'x' * 100)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "file"], capture_output=True, check=False
    )
    assert b"cannot be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []

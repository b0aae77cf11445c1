"""A document that takes its worker over reaches nothing, whatever it tries."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.hostile import pdf_files
from tests.hostile.exploited_worker import KEYS, Targets
from tests.pipeline.test_worker_pool import done, page, workers_of

import dsk
from dsk.errors import InputUnreadable
from dsk.ocr.documents import sandbox
from dsk.ocr.documents.validation import ValidationRequest, Validator
from dsk.ocr.pipeline.page_worker import TextTask, WriteTask
from dsk.ocr.pipeline.worker_pool import WorkerPool
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = Path(__file__).with_name("exploited_worker.py")
# What Landlock alone refuses: without it, or before some version, these are reached.
FILES = {
    *("read /etc/shadow", "read /etc/passwd", "read another document", "read through O_PATH"),
    *("list the home folder", "list the root"),
    *("runner's memory", "runner's environment", "runner's files", "server's memory"),
}
# What it refuses of a process that may write.
WRITES = {
    *("write to another document", "write to a library", "plant a file"),
    *("plant a file in /tmp", "plant a file in /dev/shm", "plant a nameless file"),
    *("make a folder", "remove another document", "move another document"),
    "server's memory, to write",
}


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    """Targets of the attacks: a neighbour's document, a folder, and sockets that listen."""
    (tmp_path / "other.pdf").write_bytes(pdf_files.written(1))
    for name in ("kernels", "out"):
        (tmp_path / name).mkdir()
    with contextlib.ExitStack() as stack:
        kinds: list[tuple[int, int, Any]] = [
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "socket")),
            (socket.AF_UNIX, socket.SOCK_STREAM, f"\0dsk-test-{os.getpid()}"),
        ]
        sockets = []
        for family, kind, address in kinds:
            one = stack.enter_context(socket.socket(family, kind))
            one.bind(address)
            if kind == socket.SOCK_STREAM:
                one.listen()
            sockets.append(one)
        yield Targets(
            runner=os.getpid(),
            other_file=str(tmp_path / "other.pdf"),
            folder=str(tmp_path / "kernels"),
            own_folder=str(tmp_path / "out"),
            tcp_port=sockets[0].getsockname()[1],
            udp_port=sockets[1].getsockname()[1],
            unix_path=str(tmp_path / "socket"),
            abstract_name=f"dsk-test-{os.getpid()}",
            package_file=dsk.__file__,
        )


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.setenv(key, "secret")


def document(tmp_path: Path) -> Document:
    (tmp_path / "own.pdf").write_bytes(pdf_files.written(1))
    return Document(path=tmp_path / "own.pdf", folder=tmp_path / "out", page_count=1, pages=[1])


def command(tmp_path: Path, targets: Targets, version: str = "own") -> list[str]:
    (tmp_path / "targets.json").write_text(json.dumps(asdict(targets)))
    return [sys.executable, str(WORKER), version, str(tmp_path / "targets.json")]


def text_task(of: Document) -> TextTask:
    return TextTask(document=of, page=1, limits=Limits())


def write_task(of: Document, out: Path) -> WriteTask:
    return WriteTask(
        document=of,
        out=out,
        offsets=(),
        formats=frozenset(),
        compat="",
        dpi=72,
        limits=Limits(),
    )


def reached(text: str) -> dict[str, Any]:
    outcomes = json.loads(text)
    assert len(outcomes) > 80
    return {name: end for name, end in outcomes.items() if not end.startswith("refused")}


def everything_in(folder: Path) -> dict[str, str]:
    """Every file below a folder: its kind, mode, time of change and content."""
    found = {}
    for file in folder.rglob("*"):
        status = file.lstat()
        content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        time = 0 if file.is_dir() else status.st_mtime_ns
        found[str(file.relative_to(folder))] = f"{status.st_mode:o} {time} {content}"
    return found


@pytest.mark.usefixtures("keys")
def test_a_worker_that_is_taken_over_reaches_nothing(tmp_path: Path, targets: Targets) -> None:
    own = document(tmp_path)
    with WorkerPool[int](1, command(tmp_path, targets)) as pool:
        before = everything_in(tmp_path)
        (one,) = done(pool, text_task(own))
    assert reached(one.result.text) == {}
    assert everything_in(tmp_path) == before


@pytest.mark.usefixtures("keys")
def test_a_writer_that_is_taken_over_reaches_its_documents_folder_alone(
    tmp_path: Path, targets: Targets
) -> None:
    task = write_task(document(tmp_path), tmp_path)
    before = everything_in(tmp_path)
    with WorkerPool[int](1, command(tmp_path, targets)) as pool:
        (one,) = done(pool, task)
    assert one.result.status is None, one.result.reason
    assert reached((tmp_path / "out/outcomes.json").read_text()) == {}
    after = everything_in(tmp_path)
    assert set(after) - set(before) == {"out/outcomes.json", "targets.json"}
    assert {name: after[name] for name in before} == before


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("version", ["1", "2", "3", "4", "5", "6", "7"])
def test_older_kernels_refuse_as_much(version: str, tmp_path: Path, targets: Targets) -> None:
    with WorkerPool[int](1, command(tmp_path, targets, version)) as pool:
        (one,) = done(pool, text_task(document(tmp_path)))
    assert reached(one.result.text) == {}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("version", ["0", "-1"])
def test_without_landlock_nothing_is_written_started_or_sent(
    version: str, tmp_path: Path, targets: Targets
) -> None:
    own = document(tmp_path)
    with WorkerPool[int](1, command(tmp_path, targets, version)) as pool:
        before = everything_in(tmp_path)
        (one,) = done(pool, text_task(own))
    found = reached(one.result.text)
    assert set(found) <= FILES
    assert "read another document" in found  # the test would notice if nothing were pretended
    assert everything_in(tmp_path) == before


@pytest.mark.usefixtures("keys")
def test_a_writer_without_landlock_still_starts_and_sends_nothing(
    tmp_path: Path, targets: Targets
) -> None:
    task = write_task(document(tmp_path), tmp_path)
    # What is attacked here is reached: not this package.
    (tmp_path / "library.py").touch()
    targets = replace(targets, package_file=str(tmp_path / "library.py"))
    with WorkerPool[int](1, command(tmp_path, targets, "0")) as pool:
        (one,) = done(pool, task)
    for folder in ("/tmp", "/dev/shm"):
        Path(folder, "dsk-planted").unlink()
    assert one.result.status is None, one.result.reason
    found = reached((tmp_path / "out/outcomes.json").read_text())
    assert set(found) <= FILES | WRITES
    assert "write to another document" in found  # SECURITY.md says so


def status_of(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_kernel_says_that_a_worker_is_confined_and_killed_first(tmp_path: Path) -> None:
    with WorkerPool[int](1) as pool:
        (one,) = done(pool, page(document(tmp_path), 1))
        assert one.file is not None
        os.close(one.file)
        (worker,) = workers_of(pool)
        status = status_of(worker)
        score = Path(f"/proc/{worker}/oom_score_adj").read_text()
        environment = Path(f"/proc/{worker}/environ").read_bytes()
        links = {os.readlink(file) for file in Path(f"/proc/{worker}/fd").iterdir()}  # noqa: PTH115
    assert (status["NoNewPrivs"], status["Seccomp"], status["Threads"]) == ("1", "2", "1")
    assert int(status["CapPrm"], 16) & ~0b1110 == 0
    assert int(score) == 1000
    names = {entry.split(b"=")[0].decode() for entry in environment.split(b"\0") if entry}
    assert names <= set(sandbox.environment())
    files = {link for link in links if not link.startswith("socket:")}
    assert files <= {os.devnull, str(tmp_path / "own.pdf")}
    assert len(links) - len(files) == 1


def test_a_file_that_takes_its_validation_over_reaches_nothing(
    tmp_path: Path, targets: Targets
) -> None:
    own = document(tmp_path)
    (tmp_path / "targets.json").write_text(json.dumps(asdict(targets)))
    request = ValidationRequest(path=own.path, password_file=None, limits=Limits())
    program = [sys.executable, str(WORKER.with_name("exploited_validation.py"))]
    ended = subprocess.run(
        [*program, str(tmp_path / "targets.json")],
        input=request.model_dump_json() + "\n",
        env=sandbox.environment() | {"PYTHONPATH": str(WORKER.parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    _, line = ended.stdout.splitlines()
    assert reached(json.loads(line)["what"]) == {}


@pytest.mark.parametrize(
    "reply",
    [
        {"valid": {"kind": "pdf", "page_count": 10**12}},
        {"valid": {"kind": "pdf", "page_count": 0}},
        {"limit": "__class__"},
        {"what": "x" * 100_000},
    ],
    ids=str,
)
def test_a_forged_reply_to_validation_is_a_crash(
    reply: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import json, sys\n"
        "from dsk.ocr.documents import validation\n"
        "reply = validation._Reply.model_validate_json(sys.argv.pop())\n"
        "validation.reply_to = lambda request: reply\n"
        "validation.main()\n"
    )
    python = tmp_path / "python"
    forged = shlex.quote(json.dumps(reply))
    command = f"exec {sys.executable} -c {shlex.quote(program)} {forged}"
    python.write_text(f"#!/bin/sh\n{command}\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with (
        Validator(Limits(), None) as validator,
        pytest.raises(InputUnreadable, match="its reader crashed"),
    ):
        validator.validate(document(tmp_path).path)

"""What a server says: shown as it comes, and explained when the server ends before its time."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import IO, TYPE_CHECKING

import pytest

from dsk.errors import EngineMissing, Interrupted
from dsk.matrix import load_matrix
from dsk.processes import Child
from dsk.serving import server_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from dsk.serving.server_log import ServerLog


class Script:
    """A runtime that runs a few lines of Python in place of a server."""

    def __init__(self, lines: str) -> None:
        self.lines = lines

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> Child:
        given = dict(os.environ) | dict(environment or {})
        command = [sys.executable, "-uc", self.lines, *arguments]
        return Child(command, environment=given, stdin=stdin, stdout=stdout, stderr=stderr)

    def run(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        raise AssertionError


def running(lines: str) -> AbstractContextManager[tuple[Child, ServerLog]]:
    return server_log.running(Script(lines), "server", [], {})


def test_both_streams_of_the_server_go_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with running("import sys; print('one'); print('two', file=sys.stderr)") as (child, log):
        assert child.wait() == 0
    assert log.kept() == b"one\ntwo\n"
    assert capfd.readouterr() == ("", "one\ntwo\n")


def test_only_the_end_of_what_a_server_says_is_kept(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_log, "KEPT", 1 << 17)
    with running("for n in range(100000): print(n)") as (child, log):
        child.wait()
    assert len(log.kept()) <= 1 << 17
    assert log.kept().endswith(b"\n99999\n")


def test_a_known_failure_in_the_log_is_explained(capfd: pytest.CaptureFixture[str]) -> None:
    fault = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a"
    fault += " total capacity of 23.64 GiB of which 1.10 GiB is free."
    with running(f"raise SystemExit({fault!r})") as (child, log):
        child.process.wait()
        found = server_log.end_error(
            child, log, load_matrix().stack("v0"), when="before it answered"
        )
    assert isinstance(found, EngineMissing)
    assert found.what == "the server ended with status 1 before it answered"
    said = capfd.readouterr().err
    assert said.startswith(fault)
    assert "1. " in said
    assert "Do: " in said
    assert "Seen:" in said


def test_an_unknown_failure_quotes_the_last_error(capfd: pytest.CaptureFixture[str]) -> None:
    with running("raise ValueError('the moon is full')") as (child, log):
        child.process.wait()
        server_log.end_error(child, log, load_matrix().stack("v0"), when="")
    said = capfd.readouterr().err
    assert "No known failure is in this log" in said
    assert said.count("ValueError: the moon is full") == 2


def test_a_server_that_was_told_to_end_is_not_explained(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with running("import time; time.sleep(60)") as (child, log):
        os.kill(os.getpid(), signal.SIGINT)
        child.process.wait()
        found = server_log.end_error(child, log, load_matrix().stack("v0"), when="early")
    assert isinstance(found, Interrupted)
    assert "known failure" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("import os; os.kill(os.getpid(), 11)", "status 139 (SIGSEGV: a crash in compiled code)"),
        ("import os; os.kill(os.getpid(), 9)", "status 137 (SIGKILL: somebody killed it"),
        ("import sys; sys.exit(0)", "status 0"),
    ],
)
def test_the_true_end_of_a_server_is_said(
    lines: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(lines) as (child, log):
        child.process.wait()
        found = server_log.loading_error(child, log, load_matrix().stack("v0"), 60)
    assert isinstance(found, EngineMissing)
    assert found.what.startswith(f"the server ended with {said}")
    assert found.what.endswith("before it answered")


def test_a_server_that_loads_too_long_is_ended_and_its_log_explained(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with running("import time; print('ValueError: a moon'); time.sleep(600)") as (child, log):
        while not log.kept():
            time.sleep(0.05)
        assert log.last_line() == "ValueError: a moon"
        found = server_log.loading_error(child, log, load_matrix().stack("v0"), 60)
        assert child.process.poll() is not None
    assert found.what == "the server did not load within 60 s (--load-seconds raises the limit)"
    assert "ValueError: a moon" in capfd.readouterr().err


def test_a_log_that_is_no_text_hides_no_end(capfd: pytest.CaptureFixture[str]) -> None:
    lines = "import os; os.write(1, bytes(5000)); os._exit(3)"
    with running(lines) as (child, log):
        child.process.wait()
        found = server_log.end_error(child, log, load_matrix().stack("v0"), when="by itself")
    assert found.what == "the server ended with status 3 by itself"
    assert "cannot be explained" in capfd.readouterr().err

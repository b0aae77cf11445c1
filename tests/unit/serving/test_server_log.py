"""What a server says: shown as it comes, and explained when the server ends before its time."""

from __future__ import annotations

import os
import signal
import sys
from typing import IO, TYPE_CHECKING

from dsk.errors import EngineMissing, Interrupted
from dsk.matrix import load_matrix
from dsk.processes import Child
from dsk.serving import server_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pytest

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
    assert found.what == "the server ended with exit code 1 before it answered"
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

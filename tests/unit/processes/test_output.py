"""Output of running programs, line by line."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from dsk.processes import output

if TYPE_CHECKING:
    from collections.abc import Iterator


def started(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def printed(program: str) -> list[str]:
    with started(program) as process:
        return [line for line in output.lines(process) if line is not None]


def test_lines_come_without_their_ends() -> None:
    assert printed("print('one'); print('two', end='')") == ["one", "two"]
    assert printed("print('10%\\r20%\\r\\nend')") == ["10%", "20%", "end"]
    assert printed("pass") == []


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert printed(r"import os; os.write(1, b'a\xff\xfeb\n\xe2\x82')") == [
        "a\ufffd\ufffdb", "\ufffd",
    ]  # fmt: skip


def test_a_line_without_an_end_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_MOST", 1000)
    pieces = printed("import os; [os.write(1, b'x' * 1000) for _ in range(500)]")
    assert len(pieces) > 1
    assert sum(map(len, pieces)) == 500_000


@pytest.fixture
def leaving() -> Iterator[subprocess.Popen[str]]:
    """A program that ends and leaves its output open in another process."""
    held = "import subprocess, sys; print('one', flush=True); "
    held += "print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).pid)"
    with subprocess.Popen(
        [sys.executable, "-c", held, "import time; time.sleep(600)"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def test_a_process_that_holds_the_output_is_not_waited_for(
    leaving: subprocess.Popen[str],
) -> None:
    began = time.monotonic()
    lines = [line for line in output.lines(leaving) if line is not None]
    assert lines[0] == "one"
    assert time.monotonic() - began < 60
    subprocess.run(["kill", "-9", lines[1]], check=True)


def test_a_process_that_floods_the_output_is_not_read_for_ever(
    leaving: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_DRAIN_SECONDS", 0.5)
    flood = "import os\nwhile True: os.write(1, b'flood\\n' * 1000)"
    program = "import os, subprocess, sys\n"
    program += "print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).pid, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", program, flood], stdout=subprocess.PIPE, text=True
    ) as process:
        lines = iter(output.lines(process))
        pid = next(line for line in lines if line and line.isdigit())
        for _ in lines:
            pass
        subprocess.run(["kill", "-9", pid], check=True)
    leaving.kill()


def test_a_silence_is_told() -> None:
    with started("import time; time.sleep(1)") as process:
        assert list(output.lines(process)).count(None) >= 2

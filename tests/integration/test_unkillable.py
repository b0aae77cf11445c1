"""A process that SIGKILL does not end, as one on a dead disk or card, stops nobody who waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.integration import frozen
from tests.pipeline.test_engine_ends import Run

from dsk import processes
from dsk.errors import EngineMissing
from dsk.processes import Child, unkillable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITER = "import os, sys; print(os.getpid(), flush=True); open(sys.argv[1], 'w')"
# A program that starts a writer, waits until it hangs, and then does as it is told.
LAUNCHER = f"""
import subprocess, sys
from dsk.processes import Child
with Child([sys.executable, "-c", {WRITER!r}, sys.argv[1]]) as child:
    sys.argv[2] == "waits" and child.wait()
    sys.stdin.readline()
"""
SECONDS = 60
"""In which whatever waits must have given up: its limits are 30 s, and this machine is busy."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with frozen.frozen_folder() as folder:
        yield folder


def writer(folder: Path, name: str) -> Child:
    child = Child([sys.executable, "-c", WRITER, folder / name], stdout=subprocess.PIPE)
    assert child.process.stdout is not None
    child.process.stdout.readline()
    frozen.wait_for_state_d(child.process.pid)
    return child


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_end_of_a_program_is_not_waited_for_longer_than_it_can_take(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    child = writer(folder, "one")
    pid = child.process.pid
    began = time.monotonic()
    child.end()
    assert time.monotonic() - began < SECONDS
    assert frozen.is_in_state_d(pid)
    assert child.unkillable == (pid,)
    said = capfd.readouterr().err
    assert f"process {pid} (python" in said
    assert "cannot be killed: it waits in the kernel for a device or a network disk" in said
    began = time.monotonic()
    child.end()  # again, as a `with` block does: nothing is waited for twice
    assert time.monotonic() - began < SECONDS
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_program_whose_output_is_wanted_is_given_up(folder: Path) -> None:
    began = time.monotonic()
    with pytest.raises(EngineMissing, match=r"did not finish within 3 s: process \d+ \(python"):
        processes.capture([sys.executable, "-c", WRITER, folder / "two"], seconds=3)
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("does", ["ends", "waits"])
def test_a_launcher_ends_at_its_end_or_at_the_fourth_ctrl_c(folder: Path, does: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, folder / does, does],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        frozen.wait_for_state_d(pid)
        for _ in range(4 if does == "waits" else 0):
            launcher.send_signal(signal.SIGINT)
            time.sleep(1)  # signals that come together are one
        launcher.stdin.close()
        try:
            launcher.wait(SECONDS)
        finally:
            launcher.kill()
        # Not by its end: the writer still holds the pipe.
        os.set_blocking(launcher.stdout.fileno(), False)
        assert launcher.stderr is not None
        os.set_blocking(launcher.stderr.fileno(), False)
        said = os.read(launcher.stderr.fileno(), 1 << 16).decode()
        assert launcher.returncode == (-signal.SIGINT if does == "waits" else 0)
    assert f"process {pid} (python" in said


def test_what_is_left_of_a_program_that_ended_is_named(folder: Path) -> None:
    leaving = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]])"
    command = [sys.executable, "-c", leaving, WRITER, str(folder / "three")]
    with Child(command, stdout=subprocess.PIPE) as child:
        assert child.process.stdout is not None
        pid = int(child.process.stdout.readline())
        frozen.wait_for_state_d(pid)
        assert child.wait() == 0
        assert child.unkillable == (pid,)
        assert unkillable.left_of(child.process.pid, 0) == (pid,)


def test_a_run_goes_on_without_an_engine_that_cannot_be_ended(folder: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, "reading: writes to a frozen disk", pages=3, read_seconds=4)
    run.environment["END_FROZEN"] = str(folder)
    began = time.monotonic()
    assert run.run(may_leave=1)
    assert run.states() == ["ok"] * 3
    (end,) = run.ends()
    assert "said nothing for 4 s" in end
    (warning,) = [text for text in run.warnings() if "cannot be killed" in text]
    assert "of an engine, process " in warning
    assert time.monotonic() - began < 3 * SECONDS

"""Sockets of real engines: none of them can be reached from another machine."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.integration.engine import process_tree
from tests.integration.engine.clients import made, pages, tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]

STACKS = ("cpu-v0", "cpu")


@pytest.mark.parametrize("stack_id", STACKS)
def test_processes_of_one_machine_meet_on_the_loopback_device(
    run_in: Callable[..., str], stack_id: str
) -> None:
    assert run_in(stack_id, "two_ranks").split() == ["sum", "3"] * 2


@pytest.mark.parametrize("stack_id", STACKS)
def test_a_run_listens_on_the_loopback_device_alone(
    usable: Callable[[str], Stack], stack_id: str, tmp_path: Path
) -> None:
    usable(stack_id)
    # V0 with the quickest mode's charts, V1 with those of its one mode.
    side = 8 if stack_id == "cpu-v0" else 16
    model = tiny_model(tmp_path / "model") if side == 8 else made(side)
    document, printed = pages("reached by nobody", side)
    (tmp_path / "charts.pdf").write_bytes(document)
    given = ["--stack", stack_id, "--model", model, "-o", tmp_path / "out"]
    command = [sys.executable, "-m", "dsk", "run", "pdf", tmp_path / "charts.pdf", *given]
    seen: set[tuple[str, int]] = set()
    outside: set[tuple[str, int]] = set()
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None:
            seen |= process_tree.listening(run.pid)
            outside |= process_tree.beyond_loopback(run.pid)
            time.sleep(0.5)
        assert run.stderr is not None
        assert run.returncode == 0, run.stderr.read()
    assert outside == set()
    assert seen, "the engine's store was not seen: the test looks in the wrong place"
    text = (tmp_path / "out" / "charts" / "charts.md").read_text("utf-8")
    assert printed[0] in text

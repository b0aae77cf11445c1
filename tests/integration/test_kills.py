"""Nothing is lost with the real engine either: five runs over a folder, each disturbed in its way.

`tests/pipeline/test_kills.py` disturbs a hundred runs over a stub.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.integration.engine import clients
from tests.pipeline import running

from dsk.errors import EngineMissing
from dsk.eyechart import layout, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]

SIDE: Final = 8
TEXTS: Final = [f"Page {number}\n{'and on ' * number}" for number in range(1, 6)]
ENDLESS: Final = "The quick brown fox"
"""Its chart is gone through again and again: 72 tokens of words, a loop when they fill 2,048."""
LIMIT: Final = "2300"
PATIENCE: Final = 900


def book(file: Path) -> Path:
    """Five pages that end and one that does not."""
    charts = [chart for text in TEXTS for chart in layout.charts(text, SIDE)]
    charts += layout.charts(ENDLESS, SIDE, endless=True)
    file.write_bytes(page.draw(charts, SIDE))
    return file


@dataclass
class Run:
    """`dsk run pdf` on its way."""

    book: Path
    model: Path
    out: Path
    # A short path: the engine's sockets lie in it.
    temporary: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="dsk-test-"))

    def __post_init__(self) -> None:
        given = ["-o", self.out, "--model", self.model, "--stack", "cpu-v0"]
        limits = ["--attempts", "1", "--max-tokens", LIMIT]
        self.before = len(self.pages())
        self.process = subprocess.Popen(
            list(map(str, [sys.executable, "-m", "dsk", "run", "pdf", self.book, *given, *limits])),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"TMPDIR": self.temporary},
        )

    def pages(self) -> list[int]:
        """The pages in the ledger, in the order in which they were read."""
        if not (self.out / "book/pages.jsonl").exists():
            return []
        return [record["page"] for record in running.lines(self.out / "book")]

    def wait_for(self, what: Callable[[], object]) -> None:
        """Wait until something is so, while the run goes on."""
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert self.process.poll() is None, f"it has ended: {self.process.communicate()}"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def wait_for_pages(self, count: int) -> None:
        """Wait until as many more are in the ledger."""
        self.wait_for(lambda: len(self.pages()) >= self.before + count)

    def kill(self, module: str) -> None:
        """Kill the processes that run a module, as soon as there is one."""
        found: list[int] = []

        def there() -> list[int]:
            found[:] = with_mark(self.temporary, module)
            return found

        self.wait_for(there)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> tuple[int, str]:
        """The exit code and what was said; nothing of the run is left."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        deadline = time.monotonic() + 60
        while running.processes_with(self.temporary) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert running.processes_with(self.temporary) == []
        shutil.rmtree(self.temporary)
        return self.process.returncode, said


def with_mark(mark: str, module: str) -> list[int]:
    """Processes that run a module and have a mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if module.encode() in command and mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def test_five_disturbed_runs_end_as_one_that_nobody_disturbs(
    tmp_path: Path, usable: Callable[[str], Stack]
) -> None:
    usable("cpu-v0")
    file, model = book(tmp_path / "book.pdf"), clients.tiny_model(tmp_path / "model")

    undisturbed = Run(file, model, tmp_path / "undisturbed")
    code, said = undisturbed.end()
    assert code == 0, said
    expected = running.pages(undisturbed.out / "book")
    assert [record["status"] for record in expected] == ["ok"] * 5 + ["recovered"]
    assert expected[-1]["finish_reason"] == "loop"  # in its place is the text of the PDF
    assert [record["text"] for record in expected[:5]] == TEXTS

    out = tmp_path / "out"
    run = Run(file, model, out)
    run.kill("dsk.ocr.pipeline.page_worker")
    run.wait_for(lambda: with_mark(run.temporary, "dsk.ocr.engines.worker"))
    run.kill("dsk.ocr.run.runner")
    assert run.end()[0] != 0
    assert run.pages() == []

    run = Run(file, model, out)
    run.wait_for_pages(1)
    run.kill("dsk.ocr.run.runner")
    assert run.end()[0] != 0

    run = Run(file, model, out)
    run.wait_for_pages(1)
    run.process.kill()
    assert run.end()[0] == -signal.SIGKILL

    run = Run(file, model, out)
    run.kill("dsk.ocr.engines.worker")  # while it loads: it may be that it cannot
    assert run.end()[0] == EngineMissing.exit_code

    run = Run(file, model, out)
    run.wait_for(lambda: len(run.pages()) >= len(TEXTS))
    time.sleep(1)  # in the middle of the answer that does not end
    run.kill("dsk.ocr.engines.worker")
    code, said = run.end()
    assert code == 0, said

    assert outputs(out) == outputs(undisturbed.out)
    assert running.pages(out / "book") == expected
    assert set(Counter(run.pages()).values()) == {1}


def outputs(out: Path) -> dict[str, str]:
    """The files of a run; the engine's log is its own."""
    return {name: digest for name, digest in running.outputs(out).items() if name != "engine.log"}

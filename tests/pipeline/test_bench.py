"""What a benchmark tells, with the stub for the engine and a told tale for the plain way."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline import books, running

from dsk.errors import EngineMissing
from dsk.ocr import bench
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dsk.ocr.job import Job

PHASES = [
    {"phase": "start", "began": 0.0, "ended": 50.0},
    {"phase": "render", "began": 50.0, "ended": 52.0, "pages": 10},
    {"phase": "generate", "began": 52.0, "ended": 60.0, "tokens": 800},
]


class Told:
    """A runtime whose plain way says what a test told it to."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.variables: dict[str, str] = {}

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
    ) -> Child:
        if module == "dsk.ocr.plain_way":
            self.variables = dict(environment or {})
            command = [sys.executable, "-c", self.program]
        else:
            command = [sys.executable, str(running.RUNNER)]
        return Child([*command, *arguments], stdout=stdout, stderr=stderr)

    def run(self, *_: object, **__: object) -> int:
        raise NotImplementedError


@pytest.fixture
def job(tmp_path: Path) -> Job:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 10)
    found = running.job_for([file], tmp_path / "out", tmp_path / "model", mode="tiny")
    found.out.mkdir()
    return found


def test_both_ways_and_their_ratio_are_told(job: Job) -> None:
    lines = "\n".join(json.dumps(phase) for phase in PHASES)
    runtime = Told(f"print({lines!r})")
    found = bench.measure(job, runtime, job.out, dollars_an_hour=3.6)
    plain, ours = found["plain"], found["dsk"]
    assert runtime.variables == {"DSK_NATIVE_MODEL": "1"}
    assert plain["seconds"] == {"start": 50.0, "render": 2.0, "generate": 8.0}
    assert (plain["pages_per_second"], plain["generate_pages_per_second"]) == (1.0, 1.25)
    assert plain["generate_tokens_per_second"] == 100.0
    # A thousandth of a dollar a second, a page a second.
    assert plain["dollars_per_million_pages"] == 1000.0
    assert ours["pages_per_second"] > 0
    assert found["ratio"] == pytest.approx(ours["pages_per_second"] / 1.25, abs=0.001)
    assert found["ratio_of_whole"] == pytest.approx(ours["pages_per_second"] / 1.0, abs=0.001)
    assert ours["tokens"] == sum(record["tokens"] for record in running.lines(job.out / "book"))
    assert ours["peak"]["host_bytes"] > 20_000_000


def test_a_plain_way_that_ends_early_names_its_log(job: Job) -> None:
    with pytest.raises(EngineMissing, match=r"ended with status 3: its log is .*plain\.log"):
        bench.measure(job, Told("raise SystemExit(3)"), job.out, dollars_an_hour=None)

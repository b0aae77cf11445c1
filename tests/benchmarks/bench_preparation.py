"""What preparing A4 pages costs, on one core and on two.

The aim is a quarter of the plain way's cost on one core, for every model, and two cores that do
twice as much. Seen on 2026-11-28: a page in black 0.19 to 0.23, in colour 0.36; two cores 1.00 of
twice as much. In colour nearly all of it is Pillow's two resizes, which both ways do: they alone
take 0.43 of what vLLM's processor takes.

The sandbox may cost 2 % of the pages a second. Batches with it and without take turns in one run,
so that whatever else the machine does falls on both. Where a document has one page only, what
counts is the process that is forked for it; that is printed, and has no bound.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pymupdf
import pytest
from tests.integration.engine import clients
from tests.pipeline.test_worker_pool import workers_of

from dsk import models
from dsk.matrix import load_matrix
from dsk.ocr.pipeline.page_worker import PageTask
from dsk.ocr.pipeline.worker_pool import WorkerPool
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.run_plan import Document
from dsk.runtime import environments
from dsk.runtime.base import VenvRuntime

PROGRAM = Path(__file__).with_name("preparation.py")
CHECKOUT = Path(__file__).parents[2]
PAGES = 8
TASKS = 96
ROUNDS = 5
WORDS = "The quick brown fox jumps over the lazy dog, and on to the end of the line. " * 60
COUNT = "n = 0\nwhile n < 20_000_000: n += 1"


def document(file: Path, colour: tuple[float, float, float] = (0, 0, 0)) -> Path:
    drawn = pymupdf.open()
    for number in range(PAGES):
        page = drawn.new_page(width=595, height=842)
        page.insert_textbox((50, 50, 545, 792), f"{number} {WORDS}", fontsize=9, color=colour)
    drawn.save(file)
    return file


@pytest.mark.parametrize("model", models.profiles())
@pytest.mark.parametrize(
    ("name", "colour", "bound"), [("black", (0, 0, 0), 0.25), ("colour", (0.6, 0, 0), 0.45)]
)
def test_a_page_costs_a_part_of_the_plain_way(
    name: str, colour: tuple[float, float, float], bound: float, model: str, tmp_path: Path
) -> None:
    stack = load_matrix().stack("cpu")
    environments.create(stack, progress=lambda *_: None)
    place = VenvRuntime(stack)
    variables = place.variables()
    file = document(tmp_path / "a4.pdf", colour)
    done = subprocess.run(
        [place.python(), PROGRAM, model, file, str(PAGES), clients.made(8)],
        env=variables | {"PYTHONPATH": f"{variables['PYTHONPATH']}:{CHECKOUT}"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["pixels_exact"]
    # The least of several rounds: what else the machine does only adds to a round.
    ours, plainly, cut, processor = (min(column) for column in zip(*found["rounds"], strict=True))
    print(f"\n{model}, an A4 page in {name}: {1000 * ours:.0f} ms; plainly {1000 * plainly:.0f} ms")
    print(f"ratio {ours / plainly:.3f}; without rendering {cut / processor:.3f}")
    assert ours / plainly < bound


def test_two_processes_make_twice_the_pages(tmp_path: Path) -> None:
    file = document(tmp_path / "a4.pdf")
    ours, machine = [], []
    for _ in range(ROUNDS):
        ours.append(seconds_for(file, 1) / seconds_for(file, 2) / 2)
        machine.append(counting(1) / counting(2))
    print(f"\nof linear on two cores: {statistics.median(ours):.3f}")
    print(f"two programs that only count: {statistics.median(machine):.3f}")
    assert statistics.median(ours) > 0.9 * statistics.median(machine)


def test_the_sandbox_costs_next_to_nothing(tmp_path: Path) -> None:
    task = task_of(document(tmp_path / "a4.pdf"))
    other = task_of(document(tmp_path / "other.pdf"))
    unconfined = (sys.executable, PROGRAM.with_name("unconfined_worker.py"))
    ratios = []
    processor: dict[WorkerPool[int], list[float]] = {}
    with WorkerPool[int](1) as confined, WorkerPool[int](1, unconfined) as free:
        for pool in (confined, free):
            run(pool, task, PAGES)
            processor[pool] = []
        for round_number in range(4 * ROUNDS):
            # The one that comes first takes turns, too.
            seconds = {}
            for pool in (confined, free) if round_number % 2 else (free, confined):
                before = processor_seconds(pool)
                seconds[pool] = timed(pool, task, 2 * PAGES)
                processor[pool].append(processor_seconds(pool) - before)
            ratios.append(seconds[confined] / seconds[free])
        alone = [timed(confined, task, 1) for _ in range(ROUNDS)]
        forked = [timed(confined, each, 1) for each in ROUNDS * [other, task]]
    # A busy machine makes the clock's ratio useless; the processor's time is the process's own.
    mine, plain = (statistics.median(processor[pool]) for pool in (confined, free))
    print(f"\nin the sandbox {2 * PAGES / mine:.1f} pages a second of processor time")
    print(f"processor time with it, of that without: {mine / plain:.3f}")
    print(f"time on the clock: {statistics.median(ratios):.3f}")
    more = statistics.median(forked) - statistics.median(alone)
    print(f"a page of another document: {1000 * more:.0f} ms more")
    assert mine / plain < 1.02


def processor_seconds(pool: WorkerPool[int]) -> float:
    """Processor time of a pool's workers."""
    (worker,) = workers_of(pool)
    return int(Path(f"/proc/{worker}/schedstat").read_text().split()[0]) / 1e9


def timed(pool: WorkerPool[int], task: PageTask, count: int) -> float:
    """The time that a pool takes for so many pages of a document."""
    began = time.monotonic()
    run(pool, task, count)
    return time.monotonic() - began


def seconds_for(file: Path, workers: int) -> float:
    """How long so many processes take for all tasks, once they are there."""
    task = task_of(file)
    with WorkerPool[int](workers) as pool:
        run(pool, task, workers)
        return timed(pool, task, TASKS)


def task_of(file: Path) -> PageTask:
    """The rendering of a document's first page."""
    return PageTask(
        document=Document(
            path=file,
            folder=file.parent,
            page_count=PAGES,
            pages=[],
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        ),
        page=1,
        dpi=144,
        limits=Limits(),
        profile="deepseek-ocr",
        mode="gundam",
        form="views",
    )


def run(pool: WorkerPool[int], task: PageTask, count: int) -> None:
    given = ended = 0
    while ended < count:
        while given < count and pool.has_room:
            pool.submit(given, task.model_copy(update={"page": given % PAGES + 1}), 60)
            given += 1
        heard, _, _ = select.select(pool.channels, [], [])
        for done in pool.poll(heard):
            assert done.file is not None, done.result.reason
            os.close(done.file)
            ended += 1


def counting(processes: int) -> float:
    """How long so many take that do nothing but count."""
    began = time.monotonic()
    started = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(processes)]
    assert [one.wait() for one in started] == [0] * processes
    return time.monotonic() - began

"""How many pages a second the driver's loop moves, where nothing is rendered and nothing is read.

That is where one driver ends, however many cards it feeds: messages, the ledger with its fsync a
page, and the outputs are as in a run. The aim is 400 pages a second on two cores, which the workers
and the engines of this program share with the loop. ``DSK_LOOP_PAGES`` is how many pages are moved.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.pipeline import books, running

from dsk.ocr.results import job_file
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import RunPlan

PAGES = int(os.environ.get("DSK_LOOP_PAGES", "4000"))
A_DOCUMENT = 100


def plan_of(pages: int, place: Path, engines: int) -> RunPlan:
    """Documents of 100 pages each, as their plan says: nobody opens them."""
    file = books.write(place / "book.pdf", [books.PLAIN])
    empty = running.plan_for(
        [], place / "out", place / "model", page_format="png", cards=engines,
        formats=frozenset({"md"}), workers=2,
    )  # fmt: skip
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    documents = [
        Document(
            path=file,
            folder=place / "out" / f"book-{first:06}",
            page_count=min(A_DOCUMENT, pages - first),
            pages=list(range(1, min(A_DOCUMENT, pages - first) + 1)),
            sha256=sha256,
        )
        for first in range(0, pages, A_DOCUMENT)
    ]
    return empty.model_copy(update={"documents": documents})


def moved(plan: RunPlan, place: Path) -> tuple[float, float, list[int]]:
    """Carry a plan out.

    Returns:
        Pages a second from the first page to the last, processor seconds of the loop, and bytes
        that it had in memory after each tenth of the pages.
    """
    pages = sum(len(document.pages) for document in plan.documents)
    memory = []
    plan.out.mkdir()
    (place / "plan.json").write_text(plan.model_dump_json())
    runner = Path(__file__).with_name("loop_runner.py")
    ends = []
    with (
        (place / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, runner, place / "plan.json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            if '"event":"page"' in line:
                ends.append(time.monotonic())
                if len(ends) % (pages // 10) == 0:
                    memory.append(resident(process.pid))
    assert process.returncode == 0, (place / "log").read_text()[-2000:]
    _, seconds = (place / "log").read_text().splitlines()[-1].split()
    rate = (len(ends) - 1) / (ends[-1] - ends[0])
    return rate, float(seconds), memory


def resident(process: int) -> int:
    """Bytes that a process has in memory."""
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("engines", [1, 8])
def test_the_loop_moves_four_hundred_pages_a_second(engines: int, tmp_path: Path) -> None:
    plan = plan_of(PAGES, tmp_path, engines)
    rate, seconds, memory = moved(plan, tmp_path)
    job_file.write(plan, plan.out)
    began = time.monotonic()
    progress = pages_read(plan)
    looked = time.monotonic() - began
    print(f"\n{PAGES} pages, {engines} engines: {rate:.0f} pages/s; the loop takes")
    most = PAGES / seconds
    print(f"{1e6 / most:.0f} us of processor time a page: it ends at {most:.0f} pages/s")
    grown = ", ".join(f"{each / 1e6:.0f}" for each in memory)
    print(f"memory of the driver after each tenth: {grown} MB; dsk status {looked:.2f} s")
    assert progress == PAGES
    assert memory[-1] < 1.1 * memory[0]
    assert most > 400


def pages_read(plan: RunPlan) -> int:
    """The pages that `dsk status` counts as read."""
    found = job_file.progress(plan.out, job_file.read(plan.out))
    return sum(document.states["ok"] for document in found)

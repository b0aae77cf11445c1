"""Pages are made ready in processes of their own, which may hang or crash."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pymupdf
import pytest
from tests.hostile import pdf_files

from dsk import models
from dsk.ocr.documents.opening import open_source
from dsk.ocr.ipc import payload
from dsk.ocr.pipeline.page_worker import PageTask, TextTask
from dsk.ocr.pipeline.worker_pool import CompletedTask, WorkerPool
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from dsk.ocr.pipeline.page_worker import Task


@pytest.fixture
def document(tmp_path: Path) -> Document:
    (tmp_path / "a.pdf").write_bytes(pdf_files.written(3))
    return of(tmp_path / "a.pdf", 3)


def of(file: Path, count: int) -> Document:
    pages = list(range(1, count + 1))
    return Document(path=file, folder=file.parent / "out", page_count=count, pages=pages)


def page(document: Document, number: int, **wished: object) -> PageTask:
    asked = {"dpi": 72, "limits": Limits(), "profile": "deepseek-ocr"}
    asked |= {"mode": "gundam", "form": "views"} | wished
    return PageTask(document=document, page=number, **asked)  # type: ignore[arg-type]


def done(pool: WorkerPool[int], *tasks: Task, seconds: float = 60) -> list[CompletedTask[int]]:
    """What came of tasks, in their order."""
    found: list[CompletedTask[int]] = []
    left = list(enumerate(tasks))
    while len(found) < len(tasks):
        while left and pool.has_room:
            pool.submit(*left.pop(0), seconds)
        wait = min(pool.deadline - time.monotonic(), 60)
        heard, _, _ = select.select(pool.channels, [], [], max(0, wait))
        found += [*pool.poll(heard), *pool.expire()]
    return sorted(found, key=lambda one: one.token)


def workers_of(pool: WorkerPool[int]) -> list[int]:
    """The processes of a pool's workers that are alive, the oldest first."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--sort=start_time", "--ppid", str(pool._server.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.split() for line in listed.stdout.splitlines()]
    return [int(process) for process, state in found if not state.startswith("Z")]


def states(found: list[CompletedTask[int]]) -> list[Status | None]:
    return [one.result.status for one in found]


def test_the_views_arrive_as_they_were_cut(document: Document) -> None:
    profile = models.default()
    for mode in ("gundam", "base", "tiny"):
        with WorkerPool[int](2) as pool, open_source(document.path) as source:
            found = done(pool, *(page(document, number, dpi=100, mode=mode) for number in (1, 2)))
            for number, one in enumerate(found, start=1):
                assert one.result.sheet == source.sheet(number, 100)
                assert one.file is not None
                assert one.result.payload is not None
                wanted = profile.prepare(source.image(number, 100), profile.resolution(mode))
                got = payload.read_views(one.result.payload, one.file)
                assert np.array_equal(got.view, wanted.view)
                assert np.array_equal(got.tiles, wanted.tiles)
                assert one.result.payload.grid == wanted.grid


def test_a_png_has_the_very_pixels(document: Document) -> None:
    with WorkerPool[int](1) as pool, open_source(document.path) as source:
        (one,) = done(pool, page(document, 2, form="png"))
        assert one.file is not None
        pixmap = pymupdf.Pixmap(payload.read_png(one.file))
        assert pixmap.samples == source.image(2, 72).tobytes()


def test_halves_make_the_whole_page(document: Document) -> None:
    with WorkerPool[int](1) as pool, open_source(document.path) as source:
        found = done(
            pool, *(page(document, 1, form="png", part=part) for part in ("upper", "lower"))
        )
        files = [one.file for one in found]
        assert None not in files
        parts = [pymupdf.Pixmap(payload.read_png(file)) for file in files if file is not None]
        whole = source.image(1, 72)
        assert parts[0].samples + parts[1].samples == whole.tobytes()
        assert parts[0].height == found[0].result.split_row == found[1].result.split_row
        assert abs(parts[0].height / whole.height - 0.5) < 0.11


def test_the_text_layer_is_told(document: Document) -> None:
    with WorkerPool[int](1) as pool:
        (one,) = done(pool, TextTask(document=document, page=1, limits=Limits()))
        assert "1" in one.result.text


def test_a_page_that_takes_too_long_ends_alone_and_the_next_ones_come(
    document: Document, tmp_path: Path
) -> None:
    endless = tmp_path / "laughs.pdf"
    endless.write_bytes(pdf_files.laughs())
    with WorkerPool[int](1) as pool:
        pages = [page(document, number) for number in (1, 2, 3)]
        found = done(pool, page(of(endless, 1), 1), *pages, seconds=2)
    assert states(found) == [Status.TIMED_OUT, None, None, None]
    assert "--render-seconds" in found[0].result.reason


@pytest.mark.parametrize(
    ("number", "end"),
    [
        (signal.SIGKILL, "status 137 (SIGKILL: somebody killed it"),
        (signal.SIGSEGV, "status 139 (SIGSEGV: a crash in compiled code)"),
    ],
)
def test_a_process_that_is_killed_costs_one_page_and_its_end_is_said(
    document: Document, number: signal.Signals, end: str
) -> None:
    with WorkerPool[int](1) as pool:
        done(pool, page(document, 1))
        (worker,) = workers_of(pool)
        os.kill(worker, number)
        found = done(pool, page(document, 2), page(document, 3))
    assert states(found) == [Status.RENDER_FAILED, None]
    reason = f"the process that rendered it crashed: it ended with {end}"
    assert found[0].result.reason.startswith(reason)
    assert found[0].crashed


def test_a_process_is_replaced_after_its_share_of_pages(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsk.ocr.pipeline.worker_pool.TASKS_PER_WORKER", 2)
    processes = []
    with WorkerPool[int](1) as pool:
        for number in (1, 2, 3):
            pool.submit(number, page(document, number), 60)
            processes.append(pool._workers[0].number)
            while not list(pool.poll(select.select(pool.channels, [], [], 60)[0])):
                pass
    assert processes[0] == processes[1] != processes[2]


def test_each_document_gets_a_process_of_its_own(document: Document, tmp_path: Path) -> None:
    (tmp_path / "b.pdf").write_bytes(pdf_files.written(2))
    other = of(tmp_path / "b.pdf", 2)
    with WorkerPool[int](1) as pool:
        numbers = []
        tasks = [page(document, 1), page(document, 2), page(other, 1), page(document, 3)]
        for task in tasks:
            assert states(done(pool, task)) == [None]
            numbers.append(pool._workers[0].number)
    assert numbers == [1, 1, 2, 3]


def test_a_server_that_is_killed_costs_a_page_and_is_started_again(document: Document) -> None:
    with WorkerPool[int](1) as pool:
        done(pool, page(document, 1))
        assert pool._server.pid is not None
        os.kill(pool._server.pid, signal.SIGKILL)
        found = done(pool, page(document, 2), page(document, 3))
    assert states(found) == [Status.RENDER_FAILED, None]


def test_no_process_and_no_file_is_left_behind(document: Document) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with WorkerPool[int](2) as pool:
        for one in done(pool, page(document, 1), page(document, 2)):
            assert one.file is not None
            os.close(one.file)
        processes = [*workers_of(pool), pool._server.pid]
    assert len(processes) == 3
    assert not any(Path(f"/proc/{process}").exists() for process in processes)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_document_that_is_gone_fails_page_by_page(document: Document) -> None:
    document.path.unlink()
    with WorkerPool[int](1) as pool:
        found = done(pool, *(page(document, number) for number in (1, 2, 3)))
    assert states(found) == [Status.RENDER_FAILED] * 3
    assert "there is no file" in found[0].result.reason


def test_an_empty_page_is_blank_and_in_a_damaged_file_it_is_suspect(tmp_path: Path) -> None:
    empty = pymupdf.open()
    empty.new_page()
    empty.save(tmp_path / "empty.pdf")
    (tmp_path / "cut.pdf").write_bytes(pdf_files.cut(0.6))
    with WorkerPool[int](1) as pool:
        cut = of(tmp_path / "cut.pdf", 5)
        tasks = [page(of(tmp_path / "empty.pdf", 1), 1), *(page(cut, n) for n in range(1, 6))]
        found = done(pool, *tasks)
    assert states(found) == [Status.BLANK, *[None] * 4, Status.REPAIRED_SUSPECT]


def test_a_worker_that_sends_half_a_message_stops_nobody(
    document: Document, tmp_path: Path
) -> None:
    program = tmp_path / "worker.py"
    program.write_text(
        "import os, sys, time\n"
        "from dsk.ocr.ipc.channel import Channel\n"
        "from dsk.ocr.pipeline import fork_server, page_worker\n"
        "def work(channel):\n"
        "    channel.send(page_worker.Hello())\n"
        "    channel.receive()\n"
        "    os.write(channel.fileno(), b'\\0')\n"
        "    time.sleep(60)\n"
        "fork_server.serve(Channel.inherited(int(sys.argv[1])), work)\n"
    )
    with WorkerPool[int](1, [sys.executable, str(program)]) as pool:
        pool.submit(0, page(document, 1), 2)
        longest = 0.0
        found: list[CompletedTask[int]] = []
        while not found:
            heard, _, _ = select.select(pool.channels, [], [], 0.5)
            began = time.monotonic()
            found = [*pool.poll(heard), *pool.expire()]
            longest = max(longest, time.monotonic() - began)
    assert longest < 1
    assert states(found) == [Status.TIMED_OUT]

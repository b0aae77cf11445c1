"""Outputs whose writer dies are written one by one, and nothing half-made is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from tests.unit.ocr.pipeline.plans import plan

from dsk.ocr.pipeline.output_queue import OutputQueue
from dsk.ocr.pipeline.page_worker import TaskResult, WriteTask
from dsk.ocr.pipeline.worker_pool import CompletedTask
from dsk.ocr.schema.events import OutputsMissing
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = frozenset({"md", "json", "figures", "layout", "html"})
FIGURE = "images/p0001_01.jpg"
LATE = TaskResult(status=Status.TIMED_OUT, reason="it took too long")


class Writers:
    """Writers that end each task as a test says, and the clock of those that do not end."""

    def __init__(self, end: Callable[[WriteTask], TaskResult | None]) -> None:
        self.end = end
        self.size = 1
        self.tasks: list[WriteTask] = []
        self.running: list[tuple[Any, WriteTask]] = []
        self.slow = 0

    @property
    def busy(self) -> int:
        return len(self.running)

    @property
    def has_room(self) -> bool:
        return self.busy < self.size

    def busy_longer_than(self, seconds: float) -> int:
        return self.slow

    def submit(self, token: object, task: WriteTask, seconds: float) -> None:
        self.tasks.append(task)
        self.running.append((token, task))

    def poll(self, channels: object) -> list[CompletedTask[Any]]:
        ended = []
        for token, task in self.running[:]:
            result = self.end(task)
            if result is not None:
                self.running.remove((token, task))
                crashed = result.status is Status.TIMED_OUT
                ended.append(CompletedTask(token=token, result=result, crashed=crashed))
        return ended

    def expire(self) -> list[CompletedTask[Any]]:
        return []

    def __exit__(self, *error: object) -> None:
        self.running.clear()


def queue_of(
    out: Path, end: Callable[[WriteTask], TaskResult | None]
) -> tuple[OutputQueue, Writers, Mock]:
    emit = Mock()
    outputs = OutputQueue(plan(out=out, formats=FORMATS), emit)
    writers = Writers(end)
    outputs._workers = writers  # type: ignore[assignment]
    outputs._size = 1
    return outputs, writers, emit


def document_run(folder: Path) -> Mock:
    folder.mkdir(exist_ok=True)
    run = Mock(record_offsets=(0,))
    run.document = Document(path=Path("a.pdf"), folder=folder, page_count=1, pages=[1])
    return run


def write_all(outputs: OutputQueue, rounds: int = 20) -> list[Any]:
    done = []
    for _ in range(rounds):
        outputs.start_writing()
        done += list(outputs.poll([]))
    return done


@pytest.mark.parametrize("odd", ["figures", "json", "layout", "html"])
def test_a_format_that_kills_its_writer_is_missing_alone(tmp_path: Path, odd: str) -> None:
    def end(task: WriteTask) -> TaskResult:
        figures = frozenset({FIGURE} if "figures" in task.formats else ())
        return LATE if odd in task.formats else TaskResult(figures=figures)

    outputs, writers, emit = queue_of(tmp_path, end)
    run = document_run(tmp_path / "a")
    outputs.add(run)
    assert write_all(outputs) == [run]
    run.mark_written.assert_not_called()
    assert outputs.degraded
    (event,) = (call.args[0] for call in emit.call_args_list)
    assert isinstance(event, OutputsMissing)
    texts = {"json", "md"} if odd == "json" else {odd}
    assert event.reasons == dict.fromkeys(texts, "it took too long")
    written = {name for task in writers.tasks[1:] for name in task.formats}
    assert written == FORMATS
    if odd != "figures":  # texts and report link to the pictures that are there
        assert all(task.figures == {FIGURE} for task in writers.tasks[2:])


def test_a_writer_that_died_by_chance_leaves_no_trace(tmp_path: Path) -> None:
    lives = [LATE]
    outputs, _, emit = queue_of(tmp_path, lambda _: lives.pop() if lives else TaskResult())
    run = document_run(tmp_path / "a")
    (tmp_path / "a" / "book.md").touch()
    (tmp_path / "a" / ".dsk-0123456789abcdef").touch()
    outputs.add(run)
    assert write_all(outputs) == [run]
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["book.md"]
    run.mark_written.assert_called_once()
    emit.assert_not_called()
    assert not outputs.degraded


def test_a_format_that_fails_is_reported_and_not_tried_again(tmp_path: Path) -> None:
    outputs, writers, emit = queue_of(tmp_path, lambda _: TaskResult(failures={"layout": "odd"}))
    run = document_run(tmp_path / "a")
    outputs.add(run)
    assert write_all(outputs) == [run]
    assert len(writers.tasks) == 1
    assert emit.call_args.args[0].message == "the outputs of a.pdf are incomplete: no layout: odd"
    run.mark_written.assert_not_called()


def test_a_writer_that_hangs_holds_no_other_document_up(tmp_path: Path) -> None:
    outputs, writers, _ = queue_of(
        tmp_path, lambda task: None if task.document.folder.name == "hangs" else TaskResult()
    )
    runs = [document_run(tmp_path / name) for name in ("hangs", "b", "c")]
    for run in runs:
        outputs.add(run)
    assert write_all(outputs, 3) == []  # it may still be about to end
    writers.slow = 1
    assert write_all(outputs) == runs[1:]
    (tmp_path / "hangs" / ".dsk-0123456789abcdef").touch()
    outputs.__exit__()
    assert list((tmp_path / "hangs").iterdir()) == []


def test_limits_of_time_count_for_each_step(tmp_path: Path) -> None:
    outputs, writers, _ = queue_of(tmp_path, lambda _: LATE)
    writers.submit = Mock(wraps=writers.submit)  # type: ignore[method-assign]
    outputs.add(document_run(tmp_path / "a"))
    write_all(outputs)
    assert {call.args[2] for call in writers.submit.call_args_list} == {Limits().render_seconds}

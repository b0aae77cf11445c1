"""The process that reads on a card of a cluster: page numbers in, answers out, without Ray."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.pipeline import books, running

from dsk.ocr.engines.base import PageRequest
from dsk.ocr.engines.worker import (
    MESSAGES,
    DropPage,
    EngineReady,
    PageRead,
    PageRendered,
    PageTaken,
    ReaderEnded,
    RenderPage,
)
from dsk.ocr.ipc.channel import Channel
from dsk.ocr.ipc.waiting import readable
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.engines.worker import EngineMessage
    from dsk.ocr.schema.run_plan import RunPlan

STUB: Final = Path(__file__).with_name("stub_engine.py")
SECONDS: Final = 60


class ReaderProcess:
    """A reader that this test has started, as an actor does."""

    def __init__(self, plan: RunPlan, place: Path, **environment: str) -> None:
        self._plan = plan
        file = place / "plan.json"
        file.write_text(plan.model_dump_json())
        self.channel, theirs = Channel.pair()
        with theirs, (place / "reader.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dsk.ocr.cluster.reader"]
                + [str(file), str(theirs.fileno()), "1", str(STUB)],
                stderr=log,
                pass_fds=[theirs.fileno()],
                env=os.environ | environment,
            )

    def read(self, number: int, page: int) -> None:
        document = self._plan.documents[0].model_copy(update={"pages": []})
        request = PageRequest(prompt="", ngram_size=20, ngram_window=50, max_tokens=100)
        self.channel.send(
            RenderPage(
                number=number,
                document=document,
                page=page,
                part="whole",
                mode="tiny",
                request=request,
            )
        )

    def message(self) -> EngineMessage:
        assert readable([self.channel], SECONDS), "the reader is silent"
        return MESSAGES.validate_json(self.channel.receive()[0])

    def messages_until(self, kind: type[EngineMessage], count: int = 1) -> list[EngineMessage]:
        found: list[EngineMessage] = []
        while sum(isinstance(message, kind) for message in found) < count:
            found.append(self.message())
        return found


@contextlib.contextmanager
def reader(place: Path, colours: list[books.Colour], **environment: str) -> Iterator[ReaderProcess]:
    file = books.write(place / "book.pdf", colours, words=False)
    plan = running.plan_for([file], place / "out", place / "model", mode="tiny", workers=1)
    started = ReaderProcess(plan, place, **environment)
    try:
        yield started
    finally:
        started.channel.close()
        assert started.process.wait(SECONDS) in (0, 1), (place / "reader.log").read_text()
    assert not (place / "plan.json").exists()
    assert running.processes_with(str(place / "mark")) == []


def test_each_page_is_taken_rendered_and_read(tmp_path: Path) -> None:
    with reader(tmp_path, [books.PLAIN] * 3) as started:
        for page in (1, 2, 3):
            started.read(100 + page, page)
        messages = started.messages_until(PageRead, 3)
        ready = next(message for message in messages if isinstance(message, EngineReady))
        assert ready.capacity > 8  # the stub's, and pages that wait for it rendered
        for kind in (PageTaken, PageRendered, PageRead):
            numbers = [message.number for message in messages if isinstance(message, kind)]
            assert numbers == [101, 102, 103], kind
        rendered = next(message for message in messages if isinstance(message, PageRendered))
        assert rendered.status is None
        assert rendered.payload is not None
        assert rendered.sheet is not None


def test_a_page_that_has_no_pixels_to_read_comes_back_with_its_state(tmp_path: Path) -> None:
    with reader(tmp_path, [books.PLAIN]) as started:
        started.read(1, 2)
        (*_, rendered) = started.messages_until(PageRendered)
        assert isinstance(rendered, PageRendered)
        assert rendered.status is Status.RENDER_FAILED
        assert not rendered.crashed
        started.read(2, 1)
        (*_, read) = started.messages_until(PageRead)
        assert isinstance(read, PageRead)
        assert read.number == 2


def test_a_reader_whose_engine_dies_says_how_and_ends(tmp_path: Path) -> None:
    with reader(tmp_path, [books.DEADLY]) as started:
        started.read(1, 1)
        (*_, ended) = started.messages_until(ReaderEnded)
        assert isinstance(ended, ReaderEnded)
        assert (ended.code, ended.is_lost) == (137, False)
        assert "SIGKILL" in ended.how
        assert started.process.wait(SECONDS) == 1


def test_a_page_that_is_dropped_has_no_answer(tmp_path: Path) -> None:
    with reader(tmp_path, [books.PLAIN] * 2, STUB_SECONDS="0.3") as started:
        started.messages_until(EngineReady)
        started.read(1, 1)
        started.channel.send(DropPage(number=1))
        started.read(2, 2)
        messages = started.messages_until(PageRead)
        assert [each.number for each in messages if isinstance(each, PageRead)] == [2]


def test_a_reader_ends_with_its_engine_when_the_driver_is_gone(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    with reader(tmp_path, [books.PLAIN], DSK_TEST_MARK=mark) as started:
        started.messages_until(EngineReady)
        assert running.processes_with(mark)

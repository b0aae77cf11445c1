"""An engine process that speaks the real one's protocol and makes its answers from the pixels.

What a page shows decides what becomes of it; see `tests.pipeline.books`. How long a page takes is
in ``STUB_SECONDS``; with ``STUB_NO_HALVES`` half a page has no answer.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.pipeline import books

from dsk.ocr.engines import worker
from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.ipc.channel import Channel

if TYPE_CHECKING:
    from dsk.models.base import Views
    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.schema.engine_config import PageFormat


class Stub:
    """See `dsk.ocr.engines.base.Engine`; it reads the pages in the order in which they came."""

    page_format: PageFormat = "views"
    capacity = 8

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"stub": True}
        self._seconds = float(os.environ.get("STUB_SECONDS", "0"))
        self._pages: dict[int, tuple[Views, PageRequest]] = {}

    @property
    def running(self) -> int:
        return len(self._pages)

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        assert not isinstance(page, bytes)
        self._pages[number] = (page, request)
        if books.colour(page) == books.DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)

    def step(self) -> list[tuple[int, PageAnswer]]:
        time.sleep(self._seconds)
        for number, (page, request) in self._pages.items():
            if not ("STUB_NO_HALVES" in os.environ and books.is_half(page)):
                del self._pages[number]
                return [(number, answer(page, request))]
        return []

    def drop(self, number: int) -> None:
        self._pages.pop(number, None)

    def close(self) -> None:
        pass


def answer(page: Views, request: PageRequest) -> PageAnswer:
    """What the stub says of a page."""
    text = books.text(zlib.crc32(page.view.tobytes() + page.tiles.tobytes()))
    reason = books.reason(page, request)
    return PageAnswer(
        text=text if reason == "stop" else text[:50],
        finish_reason=reason,
        tokens=len(text) // 4,
        prompt_tokens=300,
    )


if __name__ == "__main__":
    channel = Channel.inherited(int(sys.argv[2]))
    channel.send(worker.EngineReady(settings={"stub": True}, device="stub", capacity=8))
    worker.serve(channel, Stub())

"""An engine process that answers every page at once, 256 in flight, and looks at none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dsk.ocr.engines import worker
from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.ipc.channel import Channel

if TYPE_CHECKING:
    from dsk.models.base import Views
    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.schema.engine_config import PageFormat

TEXT = "# A page\n\n" + "One line of an answer of some 800 tokens, as a dense page has it.\n" * 40


class Instant:
    """See `dsk.ocr.engines.base.Engine`."""

    page_format: PageFormat = "png"
    capacity = 256

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self._pages: list[int] = []

    @property
    def running(self) -> int:
        return len(self._pages)

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        del page, request
        self._pages.append(number)

    def step(self) -> list[tuple[int, PageAnswer]]:
        ended, self._pages = self._pages, []
        answer = PageAnswer(text=TEXT, finish_reason="stop", tokens=800, prompt_tokens=900)
        return [(number, answer) for number in ended]

    def drop(self, number: int) -> None:
        if number in self._pages:
            self._pages.remove(number)

    def close(self) -> None:
        pass


if __name__ == "__main__":
    channel = Channel.inherited(int(sys.argv[2]))
    channel.send(worker.EngineReady(settings={}, device="none", capacity=Instant.capacity))
    worker.serve(channel, Instant())

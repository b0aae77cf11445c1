"""Queue of requests to render: retries first, then new pages in order, suspects last and alone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.pipeline.output_queue import OutputQueue
    from dsk.ocr.pipeline.page_state import EngineRequest, PageState
    from dsk.ocr.schema.run_plan import RunPlan


# Rendered pages that may wait for an engine, for each worker. A page is 10 MB of uint8: this bounds
# the memory, and still spans an engine that takes pages in bursts.
_READY_PER_WORKER: Final = 4

# Where GPUs read, pages are rendered while the engines load, so that these begin with many: at most
# a thirty-second of the machine's memory, and an eighth of the files that the process may open.
_READY_SHARE: Final = 32
_PAGE_BYTES: Final = 10_000_000
_MOST_READY: Final = 400


def most_ready(workers: int, *, has_gpu: bool, memory: int, files: int) -> int:
    """Return the number of rendered pages that may wait for the engines.

    Args:
        workers: processes that render.
        has_gpu: engines on GPUs read, which take hundreds of pages at once.
        memory: of the machine, in bytes.
        files: that the process may open; each page is one.
    """
    burst = _READY_PER_WORKER * workers + 4
    ahead = min(_MOST_READY, memory // _READY_SHARE // _PAGE_BYTES, files // 8)
    return max(burst, ahead) if has_gpu else burst


class RenderQueue:
    """Requests that wait to be rendered, filled from the plan one page at a time.

    Args:
        pages: every page to read, in order; see `OpenDocuments.pages`.
        plan: the plan of the run.
        outputs: while it is full, no page is taken from ``pages``.
    """

    def __init__(
        self, pages: Iterator[PageState | None], plan: RunPlan, outputs: OutputQueue
    ) -> None:
        self._pages = pages
        self._plan = plan
        self._outputs = outputs
        self._all_started = False
        self._requests: deque[EngineRequest] = deque()
        self._suspects: deque[PageState] = deque()

    @property
    def is_exhausted(self) -> bool:
        """True if nothing waits to be rendered and no page is left to start."""
        return self._all_started and not (self._requests or self._suspects)

    def next(self, *, idle: bool) -> EngineRequest | None:
        """Take the next request from the queue; None if there is none for now.

        Args:
            idle: whether no other request is being rendered or read.
        """
        if not (self._requests or self._all_started or self._outputs.is_full):
            for page in self._pages:
                if page is not None:
                    self.add(page)
                if self._requests or self._outputs.is_full:
                    break
            else:
                self._all_started = True
        # A suspect is read alone: if its engine dies once more, it is this page that kills engines,
        # and no other page loses its place in one.
        if self._suspects and self._all_started and idle and not self._requests:
            self.add(self._suspects.popleft())
        return self._requests.popleft() if self._requests else None

    def add(self, page: PageState) -> None:
        """Add the requests of a page's current step."""
        self._requests.extend(page.requests(self._plan))

    def put_first(self, requests: list[EngineRequest]) -> None:
        """Add requests in front of all others: their pages were due before those."""
        self._requests.extendleft(reversed(requests))

    def isolate(self, page: PageState) -> None:
        """Add a page that engines have died with, to be read alone at the end."""
        self._suspects.append(page)

    def remove(self, page: PageState) -> None:
        """Remove a page's requests."""
        self._requests = deque(each for each in self._requests if each.page is not page)

    def clear(self) -> None:
        """Remove everything, and start no further page."""
        self._all_started = True
        self._requests.clear()
        self._suspects.clear()

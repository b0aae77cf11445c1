"""Order of rendering: retries, then new pages as the output queue allows, suspects alone; how
many rendered pages may wait.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.ocr.pipeline.plans import page, plan

from dsk.ocr.pipeline.render_queue import RenderQueue, most_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.pipeline.page_state import PageState


GIB = 2**30


def queue(pages: Iterator[PageState | None], *, full: bool = False) -> RenderQueue:
    outputs: Any = SimpleNamespace(is_full=full)
    return RenderQueue(pages, plan(), outputs)


def taken(requests: RenderQueue, *, idle: bool = False) -> list[int]:
    numbers = []
    while (request := requests.next(idle=idle)) is not None:
        numbers.append(request.page.number)
    return numbers


def test_pages_are_started_in_order_and_one_at_a_time() -> None:
    started = []

    def pages() -> Iterator[PageState]:
        for number in (1, 2, 3):
            started.append(number)
            yield page(number)

    requests = queue(pages())
    assert requests.next(idle=False) is not None
    assert started == [1]
    assert taken(requests) == [2, 3]
    assert requests.is_exhausted


def test_retries_come_before_new_pages_and_requeued_requests_before_them() -> None:
    requests = queue(iter([page(1)]))
    requests.add(page(2))
    requests.put_first(page(3).requests(plan()) + page(4).requests(plan()))
    assert taken(requests) == [3, 4, 2, 1]


def test_no_page_is_started_while_the_output_queue_is_full() -> None:
    requests = queue(iter([page(1)]), full=True)
    assert requests.next(idle=True) is None
    assert not requests.is_exhausted
    requests.add(page(2))
    assert taken(requests) == [2]


def test_documents_without_pages_are_opened_no_further_than_outputs_are_taken() -> None:
    outputs: Any = SimpleNamespace(is_full=False)
    opened = []

    def documents() -> Iterator[None]:
        for number in range(100):
            opened.append(number)
            outputs.is_full = number == 7
            yield None

    assert RenderQueue(documents(), plan(), outputs).next(idle=True) is None
    assert len(opened) == 8


def test_a_suspect_is_read_last_and_only_when_nothing_else_is() -> None:
    requests = queue(iter([page(1)]))
    requests.isolate(page(2))
    requests.isolate(page(3))
    assert taken(requests) == [1]
    assert not requests.is_exhausted
    alone = requests.next(idle=True)
    assert alone is not None
    assert alone.page.number == 2
    assert taken(requests) == []
    assert taken(requests, idle=True) == [3]
    assert requests.is_exhausted


def test_a_page_is_removed_with_all_its_requests() -> None:
    split = page(1)
    split.step = "halves"
    requests = queue(iter(()))
    requests.add(split)
    requests.add(page(2))
    requests.remove(split)
    assert taken(requests) == [2]


def test_nothing_is_left_after_clearing() -> None:
    requests = queue(iter([page(1)]))
    requests.add(page(2))
    requests.isolate(page(3))
    requests.clear()
    assert requests.is_exhausted
    assert taken(requests, idle=True) == []


@pytest.mark.parametrize(
    ("workers", "has_gpu", "memory", "pages"),
    [
        (1, False, 24 * GIB, 8),
        (8, False, 512 * GIB, 36),
        (8, True, 16 * GIB, 53),
        (8, True, 64 * GIB, 214),
        # A server with eight GPUs: bounded all the same, and never below what a burst takes.
        (64, True, 2048 * GIB, 400),
        (128, True, 2048 * GIB, 516),
        (8, True, 4 * GIB, 36),
    ],
)
def test_where_gpus_read_more_pages_wait_as_far_as_memory_goes(
    workers: int, has_gpu: bool, memory: int, pages: int
) -> None:
    assert most_ready(workers, has_gpu=has_gpu, memory=memory, files=65536) == pages


def test_a_low_limit_of_open_files_is_not_filled_with_pages() -> None:
    assert most_ready(8, has_gpu=True, memory=512 * GIB, files=1024) == 128

"""The number of rendered pages that may wait."""

from __future__ import annotations

import pytest

from dsk.ocr.pipeline.scheduler import most_ready

GIB = 2**30


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

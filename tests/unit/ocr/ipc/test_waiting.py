"""Waiting for descriptors, those among them that `select` does not take."""

from __future__ import annotations

import os
import resource
import time

import pytest

from dsk.ocr.ipc.waiting import readable


def test_a_descriptor_of_any_number_is_waited_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.fail("this machine allows too few open files to test with")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    reading, writing = os.pipe()
    high = 3000
    os.dup2(reading, high)
    try:
        assert readable([high], 0) == []
        began = time.monotonic()
        assert readable([high], 0.0005) == []
        assert time.monotonic() - began >= 0.0005
        os.write(writing, b"x")
        assert readable([writing, high], 5) == [high]
        os.read(high, 1)
        os.close(writing)
        assert readable([high], 5) == [high]
    finally:
        os.close(high)
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

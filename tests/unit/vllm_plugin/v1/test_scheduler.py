"""When the scheduler lets pages in: with a stand-in for vLLM's own, which lets in all it may."""

from __future__ import annotations

import importlib
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

MODULE = "dsk.vllm_plugin.v1.scheduler"


@dataclass
class Page:
    arrival_time: float = field(default_factory=time.time)


class Queue(deque[Page]):
    def peek_request(self) -> Page:
        return self[0]


class Scheduler:
    """What ours needs of vLLM's, up to 0.30.0."""

    def __init__(self, most: int) -> None:
        self.max_num_running_reqs = most
        self.running: list[Page] = []
        self.waiting = Queue()

    @property
    def admitted(self) -> int:
        return self.max_num_running_reqs

    def schedule(self) -> int:
        before = len(self.running)
        while self.waiting and len(self.running) < self.admitted:
            self.running.append(self.waiting.popleft())
        assert len(self.running) <= self.max_num_running_reqs
        return len(self.running) - before


class LaterScheduler(Scheduler):
    """And from 0.31.0 on."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.max_num_active_reqs = most

    @property
    def admitted(self) -> int:
        return self.max_num_active_reqs


@pytest.fixture(params=[Scheduler, LaterScheduler])
def scheduler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One for 256 pages at once, of which 250 are running."""
    theirs = ModuleType("vllm.v1.core.sched.async_scheduler")
    theirs.AsyncScheduler = request.param  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)
    for parent in ("vllm", "vllm.v1", "vllm.v1.core", "vllm.v1.core.sched"):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    made = importlib.import_module(MODULE).GroupingScheduler(256)
    made.running += [Page() for _ in range(250)]
    return made


def test_a_full_batch_waits_until_a_group_has_room(scheduler: Any) -> None:
    scheduler.waiting.extend(Page(arrival_time=0) for _ in range(20))
    assert scheduler.schedule() == 0
    del scheduler.running[:2]
    assert scheduler.schedule() == 8
    assert scheduler.admitted == scheduler.max_num_running_reqs == 256


def test_pages_that_have_room_wait_for_others_a_moment(scheduler: Any) -> None:
    del scheduler.running[:50]
    scheduler.waiting.append(Page())
    assert scheduler.schedule() == 0
    scheduler.waiting[0].arrival_time -= 1
    assert scheduler.schedule() == 1
    scheduler.waiting.extend(Page() for _ in range(8))
    assert scheduler.schedule() == 8


def test_an_engine_that_has_nothing_else_to_do_waits_for_nobody(scheduler: Any) -> None:
    scheduler.running.clear()
    scheduler.waiting.append(Page())
    assert scheduler.schedule() == 1


def test_what_fails_leaves_the_limit_as_it_was(
    scheduler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scheduler, "schedule", lambda _: 1 / 0)
    scheduler.waiting.append(Page())
    with pytest.raises(ZeroDivisionError):
        scheduler.schedule()
    assert scheduler.admitted == scheduler.max_num_running_reqs == 256

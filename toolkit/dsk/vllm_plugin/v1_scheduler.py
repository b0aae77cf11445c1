"""vLLM's scheduler, which here lets pages in by groups; see `GroupingScheduler`."""

from __future__ import annotations

import time
from typing import Any, Final

from vllm.v1.core.sched.async_scheduler import AsyncScheduler

GROUP: Final = 8
"""Pages let in at once: as many as the vision towers take in one pass."""

_SHARE: Final = 16
"""A group is at most this part of all pages at once: what it waits for stands empty."""

_PATIENCE: Final = 0.25
"""Seconds that a page waits for others while there is room for it."""


class GroupingScheduler(AsyncScheduler):
    """Holds new pages back until several can begin in one step.

    A step in which a page begins costs the CPU some 30 ms (vLLM 0.24.0 on an H200): the towers'
    kernels and the decoder's are launched one by one, and all other pages wait. For eight pages it
    is hardly more, and the steps between replay one CUDA graph.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of 0.32.0 the first, of 0.24.0 the second says how many pages may be in the batch.
        names = ("max_num_active_reqs", "max_num_running_reqs")
        self._limit_name = next(name for name in names if hasattr(self, name))
        self._most = getattr(self, self._limit_name)
        self._group = min(GROUP, self._most // _SHARE)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """The next step, as vLLM's own, with nobody new where that is better."""
        limit = len(self.running) if self._holds() else self._most
        setattr(self, self._limit_name, limit)
        try:
            return super().schedule(*args, **kwargs)
        finally:
            setattr(self, self._limit_name, self._most)

    def _holds(self) -> bool:
        waiting, free = len(self.waiting), self._most - len(self.running)
        if not (waiting and self.running) or min(waiting, free) >= self._group:
            return False
        if waiting > free:
            return True
        waited = time.time() - self.waiting.peek_request().arrival_time
        return waited < _PATIENCE

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


class GroupingScheduler(AsyncScheduler):  # read against vLLM 0.24.0
    """Holds new pages back until several can begin in one step.

    In a step in which a page begins, the CPU launches the towers' kernels and the decoder's one by
    one, and all other pages wait; for eight pages it launches hardly more. The steps between replay
    one CUDA graph. Two engines on an H200 (vLLM 0.24.0) read 24 pages a second so, and 17 without.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most: int = self.max_num_running_reqs
        self._group = min(GROUP, self._most // _SHARE)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """The next step, as vLLM's own, with nobody new where that is better."""
        self.max_num_running_reqs = len(self.running) if self._holds() else self._most
        try:
            return super().schedule(*args, **kwargs)
        finally:
            self.max_num_running_reqs = self._most

    def _holds(self) -> bool:
        waiting, free = len(self.waiting), self._most - len(self.running)
        if not (waiting and self.running) or min(waiting, free) >= self._group:
            return False
        if waiting > free:
            return True
        waited = time.time() - self.waiting.peek_request().arrival_time
        return waited < _PATIENCE

"""The engine that reads through OpenAI-compatible servers; see `dsk.ocr.engines.base.Engine`.

Servers share the pages by who is free. One that dies is left out and its pages go to the others;
when none is left each page that remains ends with the reason.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.engines.http_client import (
    Endpoint,
    RequestRefused,
    ServerAnswer,
    ServerBusy,
    ServerLost,
)
from dsk.ocr.engines.judgement import judged
from dsk.ocr.schema.engine_config import SERVER_KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.models.deepseek_ocr.tiles import Views
    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.schema.engine_config import PageFormat, Server

IN_FLIGHT: Final = 32
"""Pages at each server at a time: their pixels are some 6 MB each here, and vLLM queues them."""
TRIES: Final = 3
"""A page that ends its server would otherwise end them all."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
PATIENCE: Final = 600.0
"""Seconds that a server may be busy without a single answer."""
_MOMENT: Final = 0.05
"""Seconds of a step in which nothing ends."""


class HttpEngine:
    """Servers that were looked at while planning, and the pages that they have."""

    page_format: PageFormat = "png"

    def __init__(self, servers: Sequence[Server]) -> None:
        key = os.environ.get(SERVER_KEY_VARIABLE)
        self.settings: dict[str, Any] = {"servers": [server.model_dump() for server in servers]}
        self._lanes = [
            _ServerState(endpoint=Endpoint(server.url, key), server=server) for server in servers
        ]
        self._waiting: deque[_SentPage] = deque()
        self._ended: queue.SimpleQueue[tuple[_ServerState, _SentPage, ServerAnswer]] = (
            queue.SimpleQueue()
        )
        self._dropped: set[int] = set()
        self.capacity = IN_FLIGHT * len(self._lanes)
        self.running = 0

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        """See `Engine.add`."""
        assert isinstance(page, bytes)
        self._waiting.append(_SentPage(number=number, png=page, request=request))
        self.running += 1

    def step(self) -> list[tuple[int, PageAnswer]]:
        """See `Engine.step`."""
        now = time.monotonic()
        while self._waiting and (lane := self._free_lane(now)):
            self._send(lane, self._waiting.popleft())
        answers = []
        if not any(lane.in_flight for lane in self._lanes) and all(
            lane.lost for lane in self._lanes
        ):
            reason = "; ".join(lane.lost for lane in self._lanes)
            answers = [(task.number, _failed(reason)) for task in self._waiting]
            self._waiting.clear()
        elif self.running:
            with contextlib.suppress(queue.Empty):
                lane, task, outcome = self._ended.get(timeout=_MOMENT)
                lane.in_flight -= 1
                answer = _settled(lane, task, outcome)
                if answer is None:
                    self._waiting.appendleft(task)
                else:
                    answers = [(task.number, answer)]
        self.running -= len(answers)
        gone = {number for number, _ in answers} & self._dropped
        self._dropped -= gone
        return [(number, answer) for number, answer in answers if number not in gone]

    def drop(self, number: int) -> None:
        """See `Engine.drop`: its request goes on, and nobody waits for it."""
        self._dropped.add(number)

    def close(self) -> None:
        """See `Engine.close`: hang up."""
        for lane in self._lanes:
            lane.endpoint.close()

    def _send(self, lane: _ServerState, task: _SentPage) -> None:
        def ask() -> None:
            outcome: ServerAnswer
            try:
                body = _body(lane.server, task.request)
                outcome = lane.endpoint.read(task.png, body, task.request.prompt)
            except Exception as error:  # a page without an outcome would be waited for for ever
                outcome = RequestRefused(
                    reason=f"the page could not be sent ({error})", again=False
                )
            self._ended.put((lane, task, outcome))

        lane.in_flight += 1
        # Daemons: Ctrl-C does not wait for what is under way.
        threading.Thread(target=ask, daemon=True).start()

    def _free_lane(self, now: float) -> _ServerState | None:
        free = [lane for lane in self._lanes if lane.is_free(now)]
        return min(free, key=lambda lane: lane.in_flight, default=None)


@dataclass(kw_only=True)
class _SentPage:
    number: int
    png: bytes
    request: PageRequest
    tries: int = 0


@dataclass(kw_only=True)
class _ServerState:
    """A server and how it is doing."""

    endpoint: Endpoint
    server: Server
    in_flight: int = 0
    busy_since: float | None = None
    pause: float = field(default_factory=lambda: FIRST_PAUSE)
    resume_at: float = 0.0
    lost: str = ""

    def is_free(self, now: float) -> bool:
        return not self.lost and self.in_flight < IN_FLIGHT and self.resume_at <= now

    def wait(self, seconds: float | None, now: float) -> None:
        """Leave the server alone, longer each time."""
        if now < self.resume_at:
            return  # one of several that were sent before the first of them was refused
        self.busy_since = now if self.busy_since is None else self.busy_since
        if now - self.busy_since > PATIENCE:
            self.lost = f"the server {self.endpoint.url} was busy for {PATIENCE:g} s"
        self.resume_at = now + (self.pause if seconds is None else seconds)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def answered(self) -> None:
        self.busy_since, self.pause = None, FIRST_PAUSE


def _settled(lane: _ServerState, task: _SentPage, outcome: ServerAnswer) -> PageAnswer | None:
    """The page's answer, or None where it is to be sent again."""
    match outcome:
        case PageAnswer():
            lane.answered()
            return outcome if task.request.fixed_tokens else judged(outcome)
        case ServerBusy():
            lane.wait(outcome.seconds, time.monotonic())
            return None
        case ServerLost():
            lane.lost = lane.lost or outcome.reason
            again = True
        case RequestRefused():
            lane.answered()
            again = outcome.again
    task.tries += 1
    return None if again and task.tries < TRIES else _failed(outcome.reason)


def _failed(reason: str) -> PageAnswer:
    return PageAnswer(text="", finish_reason="error", tokens=0, prompt_tokens=0, problem=reason)


def _body(server: Server, request: PageRequest) -> dict[str, Any]:
    return {
        "model": server.model,
        "temperature": 0,
        "max_tokens": request.max_tokens,
        # Tags are special tokens: without them a grounded answer is words without places.
        "skip_special_tokens": False,
        "vllm_xargs": {
            "ngram_size": request.ngram_size,
            "window_size": request.ngram_window,
            "whitelist_token_ids": list(server.whitelist),
        },
    }


_EndedQueue = queue.SimpleQueue[tuple[_ServerState, _SentPage, ServerAnswer]]

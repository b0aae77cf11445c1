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

from dsk import urls
from dsk.credentials import KEY_VARIABLE
from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.engines.http_client import (
    Endpoint,
    RequestRefused,
    ServerAnswer,
    ServerBusy,
    ServerLost,
)
from dsk.ocr.engines.judgement import judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.models.base import Views
    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.schema.engine_config import PageFormat, Server

# Pages at each server at a time: a page is some 6 MB of pixels here, and vLLM queues them.
IN_FLIGHT: Final = 32
# Tries of a page. One that ends its server would otherwise end them all.
TRIES: Final = 3
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
# Seconds that a server may answer "busy" and nothing else.
PATIENCE: Final = 600.0
# Seconds that a step waits for an answer.
_MOMENT: Final = 0.05


class HttpEngine:
    """Reads through the servers that planning has looked at."""

    page_format: PageFormat = "png"

    def __init__(self, servers: Sequence[Server]) -> None:
        # In the environment, since the plan is a file that stays readable while the run lasts.
        key = os.environ.get(KEY_VARIABLE)
        self.settings: dict[str, Any] = {
            # It is kept in manifests: a URL may hold a password.
            "servers": [
                server.model_copy(update={"url": urls.without_user(server.url)}).model_dump()
                for server in servers
            ]
        }
        self._servers = [
            _ServerState(endpoint=Endpoint(server.url, key), server=server) for server in servers
        ]
        self._waiting: deque[_SentPage] = deque()
        self._ended: _EndedQueue = queue.SimpleQueue()
        self._dropped: set[int] = set()
        self.capacity = IN_FLIGHT * len(self._servers)
        self.running = 0

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        """See `Engine.add`."""
        assert isinstance(page, bytes)
        self._waiting.append(_SentPage(number=number, png=page, request=request))
        self.running += 1

    def step(self) -> list[tuple[int, PageAnswer]]:
        """See `Engine.step`."""
        now = time.monotonic()
        while self._waiting and (server := self._free_server(now)):
            self._send(server, self._waiting.popleft())
        answers = []
        if self._all_lost:
            reason = "; ".join(server.lost for server in self._servers)
            answers = [(page.number, _failed(reason)) for page in self._waiting]
            self._waiting.clear()
        elif self.running:
            with contextlib.suppress(queue.Empty):
                server, page, outcome = self._ended.get(timeout=_MOMENT)
                server.in_flight -= 1
                answer = _settle(server, page, outcome)
                if answer is None:
                    # First in line again: its document cannot be written without it.
                    self._waiting.appendleft(page)
                else:
                    answers = [(page.number, answer)]
        self.running -= len(answers)
        # A dropped page's request still counts as running until its answer is here.
        dropped = {number for number, _ in answers} & self._dropped
        self._dropped -= dropped
        return [(number, answer) for number, answer in answers if number not in dropped]

    def drop(self, number: int) -> None:
        """See `Engine.drop`: the request goes on at its server, and nobody waits for it."""
        self._dropped.add(number)

    def close(self) -> None:
        """See `Engine.close`."""
        for server in self._servers:
            server.endpoint.close()

    @property
    def _all_lost(self) -> bool:
        return all(server.lost and not server.in_flight for server in self._servers)

    def _send(self, server: _ServerState, page: _SentPage) -> None:
        def post() -> None:
            outcome: ServerAnswer
            try:
                body = _body(server.server, page.request)
                outcome = server.endpoint.read(page.png, body, page.request.prompt)
            except Exception as error:  # a page without an outcome would be waited for forever
                outcome = RequestRefused(
                    reason=f"the page could not be sent ({error})", again=False
                )
            self._ended.put((server, page, outcome))

        server.in_flight += 1
        # Daemon threads: Ctrl-C does not wait for the requests in flight.
        threading.Thread(target=post, daemon=True).start()

    def _free_server(self, now: float) -> _ServerState | None:
        free = [server for server in self._servers if server.is_free(now)]
        return min(free, key=lambda server: server.in_flight, default=None)


@dataclass(kw_only=True)
class _SentPage:
    """A page that waits for a server or its answer."""

    number: int
    png: bytes
    request: PageRequest
    tries: int = 0


@dataclass(kw_only=True)
class _ServerState:
    """A server with its load, and until when it is left alone."""

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
        """Leave the server alone for the seconds it asks for, or for longer each time."""
        # Pages that were sent before the first of them was refused count as one refusal.
        if now < self.resume_at:
            return
        self.busy_since = now if self.busy_since is None else self.busy_since
        if now - self.busy_since > PATIENCE:
            self.lost = f"the server {self.endpoint.url} was busy for {PATIENCE:g} s"
        self.resume_at = now + (self.pause if seconds is None else seconds)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def mark_answered(self) -> None:
        """Forget that the server was busy."""
        self.busy_since, self.pause = None, FIRST_PAUSE


def _settle(server: _ServerState, page: _SentPage, outcome: ServerAnswer) -> PageAnswer | None:
    """Return the page's answer, or None if it is to be sent again."""
    match outcome:
        case PageAnswer():
            server.mark_answered()
            return outcome if page.request.fixed_tokens else judged(outcome)
        case ServerBusy():
            server.wait(outcome.seconds, time.monotonic())
            return None
        case ServerLost():
            server.lost = server.lost or outcome.reason
            again = True
        case RequestRefused():
            server.mark_answered()
            again = outcome.again
    page.tries += 1
    return None if again and page.tries < TRIES else _failed(outcome.reason)


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

"""The engine that reads through OpenAI-compatible servers; see `dsk.ocr.engines.base.Engine`.

Servers share the pages by who is free. One that goes away is waited for, and its pages go to the
others meanwhile; when none comes back in time each page that remains ends with the reason.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.credentials import KEY_VARIABLE
from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.engines.http_client import (
    Endpoint,
    RequestRefused,
    ServerAnswer,
    ServerAway,
    ServerBusy,
    ServerLost,
)
from dsk.ocr.engines.judgement import judged
from dsk.ocr.engines.server_state import ServerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.models.base import Views
    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.schema.engine_config import EngineConfig, PageFormat, Server

# Pages at each server at a time: a page is some 6 MB of pixels here, and vLLM queues them.
IN_FLIGHT: Final = 32
# Tries of a page. One that ends its server would otherwise end them all.
TRIES: Final = 3
# Seconds that a step waits for an answer.
_MOMENT: Final = 0.05
# Share of a page's time after which it ends here: the pipeline, which ends a page when all of it
# is over, takes an engine without a single answer in that time for one that hangs.
_SHARE_OF_TIME: Final = 0.95


class HttpEngine:
    """Reads through the servers that planning has looked at.

    Args:
        config: the servers, and how long to wait for one that is away.
        read_seconds: the time of a page, waits included.
        notify: called with what the user should know of.
    """

    page_format: PageFormat = "png"

    def __init__(
        self, config: EngineConfig, *, read_seconds: float, notify: Callable[[str], None]
    ) -> None:
        # In the environment, since the plan is a file that stays readable while the run lasts.
        key = os.environ.get(KEY_VARIABLE)
        self._servers = [
            _PooledServer(
                server=server,
                endpoint=(endpoint := Endpoint(server.url, key)),
                state=ServerState(endpoint.url, config.wait_seconds, notify),
            )
            for server in config.servers
        ]
        # The manifest gets the settings: no password may be in them.
        self.settings: dict[str, Any] = {
            "servers": [
                each.server.model_dump() | {"url": each.endpoint.url} for each in self._servers
            ]
        }
        self._wait_seconds = config.wait_seconds
        self._page_seconds = read_seconds * _SHARE_OF_TIME
        self._read_seconds = read_seconds
        self._waiting: deque[_SentPage] = deque()
        self._ended: _EndedQueue = queue.SimpleQueue()
        self._dropped: set[int] = set()
        self.capacity = IN_FLIGHT * len(self._servers)
        self.running = 0

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        """See `Engine.add`."""
        assert isinstance(page, bytes)
        deadline = time.monotonic() + self._page_seconds
        self._waiting.append(_SentPage(number=number, png=page, request=request, deadline=deadline))
        self.running += 1

    def step(self) -> list[tuple[int, PageAnswer]]:
        """See `Engine.step`."""
        now = time.monotonic()
        for server in self._servers:
            server.state.report(now)
            if server.state.is_to_be_probed(now):
                self._probe(server)
        answers = self._expired(now)
        while self._waiting and (chosen := self._free_server(now)):
            self._send(chosen, self._waiting.popleft())
        if self._all_lost:
            reason = "; ".join(server.state.lost for server in self._servers)
            answers += [(page.number, _failed(reason)) for page in self._waiting]
            self._waiting.clear()
        elif self.running:
            with contextlib.suppress(queue.Empty):
                answers += self._take(*self._ended.get(timeout=_MOMENT))
        self.running -= len(answers)
        # A dropped page's request still counts as running until its answer is here.
        dropped = {number for number, _ in answers} & self._dropped
        self._dropped -= dropped
        return [(number, answer) for number, answer in answers if number not in dropped]

    def drop(self, number: int) -> None:
        """See `Engine.drop`: the request goes on at its server, and nobody waits for it."""
        self._dropped.add(number)

    def close(self) -> None:
        """See `Engine.close`: requests in flight end with this process."""

    @property
    def _all_lost(self) -> bool:
        return all(server.state.lost and not server.in_flight for server in self._servers)

    def _expired(self, now: float) -> list[tuple[int, PageAnswer]]:
        """Take the pages out of the line whose time is over."""
        # What a try of less than a second would say is less than what the last one said.
        late = [page for page in self._waiting if page.deadline - bool(page.tries) <= now]
        for page in late:
            self._waiting.remove(page)
        reason = f"no server read it in {self._read_seconds:g} s: --read-seconds raises that"
        return [(page.number, _failed(page.last_reason or reason)) for page in late]

    def _send(self, server: _PooledServer, page: _SentPage) -> None:
        def post() -> None:
            outcome: ServerAnswer
            try:
                body = _body(server.server, page.request)
                seconds = max(page.deadline - time.monotonic(), 0.01)
                outcome = server.endpoint.read(page.png, body, page.request.prompt, seconds=seconds)
            except Exception as error:  # a page without an outcome would be waited for forever
                outcome = RequestRefused(
                    reason=f"the page could not be sent ({error})", again=False
                )
            self._ended.put((server, page, outcome))

        server.in_flight += 1
        # Daemon threads: Ctrl-C does not wait for the requests in flight.
        threading.Thread(target=post, daemon=True).start()

    def _probe(self, server: _PooledServer) -> None:
        """Ask a server that is away whether it is back, beside the answers of the others."""

        def ask() -> None:
            try:
                is_back = server.endpoint.answers()
            except Exception:  # a server without an outcome would never be asked again
                is_back = False
            self._ended.put((server, None, is_back))

        server.state.mark_probed()
        threading.Thread(target=ask, daemon=True).start()

    def _take(
        self, server: _PooledServer, page: _SentPage | None, outcome: ServerAnswer | bool
    ) -> list[tuple[int, PageAnswer]]:
        """Settle what a server answered; return the page if it has ended."""
        now = time.monotonic()
        if page is None or isinstance(outcome, bool):
            server.state.take_probe(is_back=bool(outcome), now=now)
            return []
        server.in_flight -= 1
        answer = self._settled(server.state, page, outcome, now)
        if answer is not None:
            return [(page.number, answer)]
        # First in line again: its document cannot be written without it.
        self._waiting.appendleft(page)
        return []

    def _settled(
        self, state: ServerState, page: _SentPage, outcome: ServerAnswer, now: float
    ) -> PageAnswer | None:
        """Return the page's answer, or None if it is to be sent again."""
        if isinstance(outcome, PageAnswer):
            state.mark_answered(now)
            return outcome if page.request.fixed_tokens else judged(outcome)
        page.last_reason = outcome.reason
        again = True
        match outcome:
            case ServerBusy():
                state.wait(outcome.seconds, outcome.reason, now)
                # Other pages may be read meanwhile: this one must not wait for ever.
                page.busy_since = now if page.busy_since is None else page.busy_since
                again = now - page.busy_since <= self._wait_seconds
            case ServerAway():
                state.mark_away(outcome.reason, now)
                page.tries += outcome.has_page
            case ServerLost():
                state.give_up(outcome.reason)
                page.tries += 1
            case RequestRefused():
                state.mark_answered(now)
                page.tries += 1
                again = outcome.again
                if outcome.final:
                    return _failed(outcome.reason, finish_reason="refused")
        return None if again and page.tries < TRIES else _failed(outcome.reason)

    def _free_server(self, now: float) -> _PooledServer | None:
        free = [
            server
            for server in self._servers
            if server.in_flight < IN_FLIGHT and server.state.is_ready(now)
        ]
        return min(free, key=lambda server: server.in_flight, default=None)


@dataclass(kw_only=True, eq=False)
class _PooledServer:
    """A server with its load."""

    server: Server
    endpoint: Endpoint
    state: ServerState
    in_flight: int = 0


@dataclass(kw_only=True, eq=False)
class _SentPage:
    """A page that waits for a server or its answer, until ``deadline`` at most."""

    number: int
    png: bytes
    request: PageRequest
    deadline: float
    tries: int = 0
    busy_since: float | None = None
    last_reason: str = ""


def _failed(reason: str, *, finish_reason: str = "error") -> PageAnswer:
    return PageAnswer(
        text="", finish_reason=finish_reason, tokens=0, prompt_tokens=0, problem=reason
    )


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


_EndedQueue = queue.SimpleQueue[tuple[_PooledServer, _SentPage | None, ServerAnswer | bool]]

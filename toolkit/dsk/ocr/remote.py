"""The engine that reads through OpenAI-compatible servers, used as `dsk.ocr.engine.Engine` is.

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
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dsk.ocr.endpoint import KEY_VARIABLE, Busy, Endpoint, Lost, Outcome, Refused
from dsk.ocr.engine import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from PIL import Image

    from dsk.ocr.job import Job, Server

Page = TypeVar("Page")

IN_FLIGHT: Final = 32
"""Pages at each server at a time: their pixels are some 6 MB each here, and vLLM queues them."""
TRIES: Final = 3
"""A page that ends its server would otherwise end them all."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
PATIENCE: Final = 600.0
"""Seconds that a server may be busy without a single answer."""


@dataclass(kw_only=True)
class _Task(Generic[Page]):
    page: Page
    image: Image.Image
    tries: int = 0


@dataclass(kw_only=True)
class _Lane:
    """A server and how it is doing."""

    endpoint: Endpoint
    request: dict[str, Any]
    in_flight: int = 0
    busy_since: float | None = None
    pause: float = field(default_factory=lambda: FIRST_PAUSE)
    resume_at: float = 0.0
    lost: str = ""

    def is_free(self, now: float) -> bool:
        return not self.lost and self.in_flight < IN_FLIGHT and self.resume_at <= now

    def send(self, task: _Task[Page], prompt: str, ended: _Ended[Page]) -> None:
        """Send a page; what becomes of it comes through ``ended``."""

        def ask() -> None:
            outcome: Outcome
            try:
                outcome = self.endpoint.read(task.image, self.request, prompt)
            except Exception as error:  # a page without an outcome would be waited for for ever
                outcome = Refused(reason=f"the page could not be sent ({error})", again=False)
            ended.put((self, task, outcome))

        self.in_flight += 1
        # Daemons: Ctrl-C does not wait for what is under way.
        threading.Thread(target=ask, daemon=True).start()

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


@dataclass(kw_only=True)
class _Work(Generic[Page]):
    """The pages that are still to be sent: those given back first."""

    source: Iterator[Page]
    image_of: Callable[[Page], Image.Image]
    given_back: deque[_Task[Page]] = field(default_factory=deque)

    def next(self) -> _Task[Page] | None:
        if self.given_back:
            return self.given_back.popleft()
        page = next(self.source, None)
        return None if page is None else _Task(page=page, image=self.image_of(page))


_Ended = queue.SimpleQueue[tuple[_Lane, _Task[Page], Outcome]]


class RemoteEngine:
    """The servers of a job, which have been looked at before."""

    def __init__(self, job: Job) -> None:
        self.settings: dict[str, Any] = {"servers": [one.model_dump() for one in job.servers]}
        self._job = job

    def read(
        self, pages: Iterable[Page], image_of: Callable[[Page], Image.Image]
    ) -> Iterator[tuple[Page, Answer]]:
        """Read pages and yield each with its answer, in the order in which they are ready."""
        work = _Work(source=iter(pages), image_of=image_of)
        key = os.environ.get(KEY_VARIABLE)
        with contextlib.ExitStack() as stack:
            lanes = [
                _Lane(
                    endpoint=stack.enter_context(Endpoint(server.url, key)),
                    request=_request(self._job, server),
                )
                for server in self._job.servers
            ]
            yield from _read(work, lanes, self._job.prompt)


def _read(work: _Work[Page], lanes: Sequence[_Lane], prompt: str) -> Iterator[tuple[Page, Answer]]:
    ended: _Ended[Page] = queue.SimpleQueue()
    flying = 0
    while True:
        now = time.monotonic()
        free = [lane for lane in lanes if lane.is_free(now)]
        lane = min(free, key=lambda lane: lane.in_flight, default=None)
        task = work.next() if lane else None
        if lane and task:
            lane.send(task, prompt, ended)
            flying += 1
        elif not flying and (lane or all(lane.lost for lane in lanes)):
            break
        try:
            lane, task, outcome = ended.get(timeout=0.001 if task else _until_resumed(lanes, now))
        except queue.Empty:
            continue
        flying -= 1
        lane.in_flight -= 1
        answer = _settled(lane, task, outcome)
        if answer is None:
            work.given_back.append(task)
        else:
            yield task.page, answer
    while task := work.next():
        yield task.page, _failed("; ".join(lane.lost for lane in lanes))


def _until_resumed(lanes: Sequence[_Lane], now: float) -> float | None:
    """Seconds until a server that is left alone may be asked again; None where none is."""
    later = [lane.resume_at - now for lane in lanes if not lane.lost]
    return min((wait for wait in later if wait > 0), default=None)


def _settled(lane: _Lane, task: _Task[Page], outcome: Outcome) -> Answer | None:
    """The page's answer, or None where it is to be sent again."""
    match outcome:
        case Answer():
            lane.answered()
            return outcome
        case Busy():
            lane.wait(outcome.seconds, time.monotonic())
            return None
        case Lost():
            lane.lost = lane.lost or outcome.reason
            again = True
        case Refused():
            lane.answered()
            again = outcome.again
    task.tries += 1
    return None if again and task.tries < TRIES else _failed(outcome.reason)


def _failed(reason: str) -> Answer:
    return Answer(text="", finish_reason="error", tokens=0, prompt_tokens=0, problem=reason)


def _request(job: Job, server: Server) -> dict[str, Any]:
    return {
        "model": server.model,
        "temperature": 0,
        "max_tokens": job.max_tokens,
        # Tags are special tokens: without them a grounded answer is words without places.
        "skip_special_tokens": False,
        "vllm_xargs": {
            "ngram_size": job.ngram_size,
            "window_size": job.ngram_window,
            "whitelist_token_ids": list(server.whitelist),
        },
    }

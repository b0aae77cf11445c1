"""The engines of a run: started together, fed in turn, and replaced when they end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.ocr.engines.handle import EngineDied, EngineHandle
from dsk.ocr.schema.events import Starting, Warned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.engines.worker import EngineReady, PageRead
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.page_state import EngineRequest, PageState
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan

DEATHS_BEFORE_ISOLATION: Final = 2
"""Deaths of engines after which a page is read alone."""
_DEATHS_IN_A_ROW: Final = 3
"""How often all engines may end one after the other without an answer, pages alone apart."""


@dataclass(frozen=True)
class PageAnswered:
    """An engine has read what was asked of it."""

    request: EngineRequest
    read: PageRead


@dataclass(frozen=True)
class RequestExpired:
    """An engine has taken too long over something, and was told to forget it."""

    request: EngineRequest


@dataclass(frozen=True)
class EngineLost:
    """An engine has ended; ``pages`` are the pages that it had and that still wait for an answer.

    ``alone`` says that the only one is a page that engines have ended with before.
    """

    code: int
    pages: list[PageState]
    alone: bool


class EnginePool:
    """The engines of a run; one that does not fit beside the others in GPU memory is skipped.

    Args:
        command: what to start as an engine.
        file: the job's file.
        plan: what is to be done.
        emit: told of starts and ends.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        file: Path,
        plan: RunPlan,
        emit: Listener,
    ) -> None:
        self._command = command
        self._file = file
        self._seconds = plan.limits.read_seconds
        self._emit = emit
        self._size = plan.placement.engines
        self._running: list[EngineHandle] = []
        self._closing: list[EngineHandle] = []
        self._requests: dict[int, EngineRequest] = {}
        self._number = 0
        self._deaths = 0

    def __len__(self) -> int:
        """What they have been asked and not answered."""
        return len(self._requests)

    @property
    def channels(self) -> list[Channel]:
        """To wait for with `select`."""
        return [engine.channel for engine in self._running]

    @property
    def loading(self) -> bool:
        """Whether they have been started and none can read yet."""
        return bool(self._running) and self.ready is None

    @property
    def ready(self) -> EngineReady | None:
        """What one that can read said of itself."""
        return next((engine.ready for engine in self._running if engine.ready), None)

    def start(self) -> None:
        """Start those that do not run.

        Raises:
            EngineMissing: one cannot be started.
        """
        if len(self._running) < self._size:
            self._emit(Starting(what="loading the model"))
        while len(self._running) < self._size:
            self._running.append(EngineHandle(self._command, self._file))

    def release(self) -> None:
        """Let them go, which takes them seconds that nothing waits for until `close`."""
        for engine in self._running:
            engine.channel.close()
        self._closing += self._running
        self._running.clear()

    def close(self) -> None:
        """End them all."""
        self.release()
        for engine in self._closing:
            engine.end()

    @property
    def has_room(self) -> bool:
        """Whether one of them takes another page."""
        return any(engine.takes for engine in self._running)

    def send(self, request: EngineRequest) -> EngineLost | None:
        """PageRequest the one that has the fewest; the request's file is closed.

        Raises:
            EngineDied: it cannot be kept running.
        """
        taking = (engine for engine in self._running if engine.takes)
        engine = min(taking, key=lambda one: len(one.inside))
        self._number += 1
        self._requests[self._number] = request
        assert request.payload is not None
        try:
            engine.send(self._number, request.payload, request.ask, request.file)
        except EngineDied as died:
            return self._handle_death(engine, died)
        return None

    def poll(self, channels: Sequence[Channel]) -> Iterator[PageAnswered | EngineLost]:
        """What came over these channels.

        Raises:
            EngineDied: one has ended and cannot be kept running.
            DskError: one cannot be started, and says why.
        """
        for engine in self._running[:]:
            if engine.channel not in channels:
                continue
            loading = self.loading
            try:
                read = engine.receive()
            except EngineDied as died:
                yield self._handle_death(engine, died)
                continue
            if loading and not self.loading:
                self._emit(Starting(what="reading"))
            if read is not None:
                self._deaths = 0
                yield PageAnswered(self._requests.pop(read.number), read)

    def expire(self) -> Iterator[RequestExpired | EngineLost]:
        """What has taken too long; an engine that has said nothing for as long is ended.

        Raises:
            EngineDied: it cannot be kept running.
        """
        for engine in self._running[:]:
            try:
                yield from self._expire_requests_of(engine)
            except EngineDied as died:
                yield self._handle_death(engine, died)

    def _expire_requests_of(self, engine: EngineHandle) -> Iterator[RequestExpired]:
        long_ago = time.monotonic() - self._seconds
        late = [
            number for number in sorted(engine.inside) if self._requests[number].since < long_ago
        ]
        if late and engine.last_message_at < long_ago:  # it is not the page, it is the engine
            engine.end()
            raise EngineDied(124)
        for number in late:
            yield RequestExpired(self._requests.pop(number))
            engine.drop(number)

    def _handle_death(self, engine: EngineHandle, died: EngineDied) -> EngineLost:
        self._running.remove(engine)
        if engine.ready is None and self._running:
            self._size -= 1
            message = f"an engine ended with status {died.code} while it loaded: on with the others"
            self._emit(Warned(message=message))
            return EngineLost(died.code, [], alone=False)
        numbers = sorted(engine.inside & self._requests.keys())
        inside = [self._requests.pop(number) for number in numbers]
        had = list(dict.fromkeys(one.page for one in inside if one.is_current))
        alone = len(had) == 1 and had[0].engine_deaths >= DEATHS_BEFORE_ISOLATION
        self._deaths += not alone
        if engine.ready is None or self._deaths > _DEATHS_IN_A_ROW * self._size:
            raise died
        self._emit(Warned(message=f"the engine ended with status {died.code}: started again"))
        return EngineLost(died.code, had, alone=alone)

"""The engines of a run: started together, fed in turn, and replaced when they end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.ocr.engines.handle import EngineDied, EngineLink
from dsk.ocr.schema.events import Starting, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.engines.worker import Read, Ready
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.page_state import Ticket, Turn
    from dsk.ocr.schema.events import Event
    from dsk.ocr.schema.run_plan import RunPlan

SUSPECT: Final = 2
"""Deaths of engines after which a page is read alone."""
_DEATHS_IN_A_ROW: Final = 3
"""How often all engines may end one after the other without an answer, pages alone apart."""


@dataclass(frozen=True)
class Answered:
    """An engine has read what was asked of it."""

    ticket: Ticket
    read: Read


@dataclass(frozen=True)
class Late:
    """An engine has taken too long over something, and was told to forget it."""

    ticket: Ticket


@dataclass(frozen=True)
class Lost:
    """An engine has ended; ``turns`` are the pages that it had and that still wait for an answer.

    ``alone`` says that the only one is a page that engines have ended with before.
    """

    code: int
    turns: list[Turn]
    alone: bool


class Engines:
    """Up to ``job.engines`` of them; one that has no room beside the others is done without.

    Args:
        command: what to start as an engine.
        file: the job's file.
        job: what is to be done.
        tell: told of starts and ends.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        file: Path,
        plan: RunPlan,
        tell: Callable[[Event], None],
    ) -> None:
        self._command = command
        self._file = file
        self._seconds = plan.limits.read_seconds
        self._tell = tell
        self._wanted = plan.engines
        self._running: list[EngineLink] = []
        self._leaving: list[EngineLink] = []
        self._inside: dict[int, Ticket] = {}
        self._number = 0
        self._deaths = 0

    def __len__(self) -> int:
        """What they have been asked and not answered."""
        return len(self._inside)

    @property
    def channels(self) -> list[Channel]:
        """To wait for with `select`."""
        return [engine.channel for engine in self._running]

    @property
    def loading(self) -> bool:
        """Whether they have been started and none can read yet."""
        return bool(self._running) and self.ready is None

    @property
    def ready(self) -> Ready | None:
        """What one that can read said of itself."""
        return next((engine.ready for engine in self._running if engine.ready), None)

    def start(self) -> None:
        """Start those that do not run.

        Raises:
            EngineMissing: one cannot be started.
        """
        if len(self._running) < self._wanted:
            self._tell(Starting(what="loading the model"))
        while len(self._running) < self._wanted:
            self._running.append(EngineLink(self._command, self._file))

    def dismiss(self) -> None:
        """Let them go, which takes them seconds that nothing waits for until `end`."""
        for engine in self._running:
            engine.channel.close()
        self._leaving += self._running
        self._running.clear()

    def end(self) -> None:
        """End them all."""
        self.dismiss()
        for engine in self._leaving:
            engine.end()

    @property
    def takes(self) -> bool:
        """Whether one of them takes another page."""
        return any(engine.takes for engine in self._running)

    def send(self, ticket: Ticket) -> Lost | None:
        """Ask the one that has the fewest; the ticket's file is closed.

        Raises:
            EngineDied: it cannot be kept running.
        """
        taking = (engine for engine in self._running if engine.takes)
        engine = min(taking, key=lambda one: len(one.inside))
        self._number += 1
        self._inside[self._number] = ticket
        assert ticket.payload is not None
        try:
            engine.send(self._number, ticket.payload, ticket.ask, ticket.file)
        except EngineDied as died:
            return self._bury(engine, died)
        return None

    def heard(self, channels: Sequence[Channel]) -> Iterator[Answered | Lost]:
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
                read = engine.hear()
            except EngineDied as died:
                yield self._bury(engine, died)
                continue
            if loading and not self.loading:
                self._tell(Starting(what="reading"))
            if read is not None:
                self._deaths = 0
                yield Answered(self._inside.pop(read.number), read)

    def late(self) -> Iterator[Late | Lost]:
        """What has taken too long; an engine that has said nothing for as long is ended.

        Raises:
            EngineDied: it cannot be kept running.
        """
        for engine in self._running[:]:
            try:
                yield from self._late_in(engine)
            except EngineDied as died:
                yield self._bury(engine, died)

    def _late_in(self, engine: EngineLink) -> Iterator[Late]:
        long_ago = time.monotonic() - self._seconds
        late = [number for number in sorted(engine.inside) if self._inside[number].since < long_ago]
        if late and engine.heard_at < long_ago:  # it is not the page, it is the engine
            engine.end()
            raise EngineDied(124)
        for number in late:
            yield Late(self._inside.pop(number))
            engine.drop(number)

    def _bury(self, engine: EngineLink, died: EngineDied) -> Lost:
        self._running.remove(engine)
        if engine.ready is None and self._running:
            self._wanted -= 1
            message = f"an engine ended with status {died.code} while it loaded: on with the others"
            self._tell(Warned(message=message))
            return Lost(died.code, [], alone=False)
        numbers = sorted(engine.inside & self._inside.keys())
        inside = [self._inside.pop(number) for number in numbers]
        had = list(dict.fromkeys(one.turn for one in inside if one.counts))
        alone = len(had) == 1 and had[0].deaths >= SUSPECT
        self._deaths += not alone
        if engine.ready is None or self._deaths > _DEATHS_IN_A_ROW * self._wanted:
            raise died
        self._tell(Warned(message=f"the engine ended with status {died.code}: started again"))
        return Lost(died.code, had, alone=alone)

"""The pipeline: documents are rendered, read and written at once, and no stage waits for a list.

One loop, in a process that neither renders nor generates: it gives pages to the processes that
render, sends what they made to the engine as the engine takes it, and puts what comes back into
the ledger. What is under way is bounded everywhere, so memory does not grow with the pages.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from dsk.errors import Interrupted
from dsk.ocr.engines.handle import COMMAND
from dsk.ocr.engines.vllm import form_for
from dsk.ocr.pipeline.engine_pool import SUSPECT, Answered, Engines, Late, Lost
from dsk.ocr.pipeline.output_queue import OutputQueue
from dsk.ocr.pipeline.page_state import Ticket, Turn
from dsk.ocr.pipeline.page_worker import PageTask, TextTask
from dsk.ocr.pipeline.worker_pool import Crew, Done
from dsk.ocr.results.document_run import DocumentRun
from dsk.ocr.results.ledger import resume_hint
from dsk.ocr.results.manifest import settings_hash
from dsk.ocr.schema.events import Moving, PageDone
from dsk.ocr.schema.limits import flag
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.engines.worker import Read
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.shutdown import Stop
    from dsk.ocr.schema.events import Event
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import RunPlan

    Tell = Callable[[Event], None]

_READY_FOR_EACH: Final = 4
"""Pages that wait for the engine, for each process that renders: 10 MB each."""
_CRASHES: Final = 1
"""Processes that may crash while they have a page before it is the page that has failed."""


class Pipeline:
    """A whole run. A context manager: leaving it ends every process.

    Args:
        job: what is to be done.
        file: the job's file, for the engine.
        tell: told of what happens.
        stop: says whether the user wants it to end.
        engine: what to start as the engine.
    """

    def __init__(
        self,
        plan: RunPlan,
        file: Path,
        tell: Tell,
        stop: Stop,
        engine: Sequence[str | Path] = COMMAND,
    ) -> None:
        self._plan = plan
        self._tell = tell
        self._stop = stop
        self._settings = settings_hash(plan)
        self._form = form_for(plan)
        size = plan.workers or max(1, min(8, len(os.sched_getaffinity(0)) - 1))
        self._renderers: Crew[Ticket | Turn] = Crew(size)
        self._outputs = OutputQueue(plan, tell)
        self._most_ready = _READY_FOR_EACH * size + 4
        self._engines = Engines(engine, file, plan, tell)
        self._page_iterator = self._planned()
        self._planned_all = False
        self._to_render: deque[Ticket] = deque()
        self._to_look_up: deque[Turn] = deque()
        self._ready: deque[Ticket] = deque()
        self._suspects: deque[Turn] = deque()
        self._open: set[DocumentRun] = set()
        self._told_at = 0.0
        self._began: float | None = None
        self._pages = self._tokens = 0
        self.degraded = False
        """Whether a page did not come out whole."""

    def run(self) -> bool:
        """Do it all; whether everything came out whole.

        Raises:
            Interrupted: the user wanted it to end; what was read is in the ledgers.
            EngineDied: the engine cannot be kept running.
            DskError: an output cannot be written, or the engine not be started.
        """
        try:
            with self._renderers, self._outputs:
                while self._step():
                    pass
        finally:
            for ticket in self._ready:
                os.close(ticket.file)
            self._engines.end()
            for book in self._open:
                book.close()
        if self._stop.asked:
            what = "the run was interrupted"
            raise Interrupted(what, do=resume_hint(overwrite=self._plan.overwrite))
        return not (self.degraded or self._outputs.degraded)

    def _step(self) -> bool:
        """Go on for a moment; whether there is more to do."""
        if self._stop.asked:
            self._drain()
        self._render()
        self._feed()
        if self._all_read:
            self._engines.dismiss()
        if not self._stop.at_once:
            self._outputs.begin()
        self._say_how_it_goes()
        if self._idle:
            return False
        self._wait()
        return True

    @property
    def _idle(self) -> bool:
        if self._stop.at_once:
            return True
        return self._all_read and not self._outputs

    @property
    def _all_read(self) -> bool:
        waiting = self._to_render or self._to_look_up or self._suspects
        return self._planned_all and not (self._under_way or waiting)

    # Planning and rendering

    def _planned(self) -> Iterator[Turn | None]:
        """Every page that is to be read, in order; None where outputs alone are to be written."""
        for document in self._plan.documents:
            book = DocumentRun(self._plan, document, self._settings)
            self._open.add(book)
            for page, ended in book.taken_over.items():
                self.degraded |= ended.status not in WHOLE
                self._tell(
                    PageDone(
                        document=document.name,
                        page=page,
                        status=ended.status,
                        how=ended.how,
                        attempts=ended.attempts,
                        tokens=ended.tokens,
                        taken_over=True,
                    )
                )
            if book.is_complete:
                self._finished(book)
                yield None
            for page in book.remaining:
                yield Turn(book=book, page=page)
        self._planned_all = True

    def _render(self) -> None:
        """Give work to the processes that render, as long as there is room for what they make."""
        while self._renderers.has_room:
            if self._to_look_up:
                self._look_up(self._to_look_up.popleft())
                continue
            if len(self._ready) + self._renderers.busy >= self._most_ready:
                return
            ticket = self._following()
            if ticket is None:
                return
            ticket.since = time.monotonic()
            turn = ticket.turn
            task = PageTask(
                document=turn.book.unpaged,
                page=turn.page,
                dpi=self._plan.dpi,
                limits=self._plan.limits,
                part=ticket.part,
                mode=ticket.mode,
                form=self._form,
            )
            self._renderers.give(ticket, task, self._plan.limits.render_seconds)

    def _following(self) -> Ticket | None:
        """What to render next: what is to be tried again first, then the plan, suspects last."""
        while not (self._to_render or self._planned_all or self._outputs.is_full):
            turn = next(self._page_iterator, None)
            if turn is not None:
                self._to_render.extend(turn.tickets(self._plan))
        if self._suspects and self._planned_all and not (self._to_render or self._under_way):
            self._to_render.extend(self._suspects.popleft().tickets(self._plan))
        return self._to_render.popleft() if self._to_render else None

    @property
    def _under_way(self) -> bool:
        return bool(self._ready or self._engines or self._renderers.busy)

    def _look_up(self, turn: Turn) -> None:
        task = TextTask(document=turn.book.unpaged, page=turn.page, limits=self._plan.limits)
        self._renderers.give(turn, task, self._plan.limits.render_seconds)

    def _rendered(self, done: Done[Ticket | Turn]) -> None:
        if done.crashed and self._once_more(done):
            return
        if isinstance(done.token, Turn):
            self._looked_up(done.token, done.made.text)
            return
        ticket, made = done.token, done.made
        turn = ticket.turn
        if not ticket.counts or (self._stop.asked and done.file is not None):
            if done.file is not None:
                os.close(done.file)
            return
        turn.rendering += made.seconds
        turn.sheet = made.sheet or turn.sheet
        turn.cut = made.cut or turn.cut
        if made.payload is None or done.file is None:
            assert made.status is not None
            self._settle(turn, turn.ended(made.status, made.reason))
            return
        turn.payload = turn.payload or made.payload
        ticket.payload, ticket.file, ticket.since = made.payload, done.file, time.monotonic()
        self._ready.append(ticket)
        self._engines.start()

    def _once_more(self, done: Done[Ticket | Turn]) -> bool:
        """Begin anew where a process has ended for the first time: it may not be the page's doing.

        Returns:
            Whether it is begun anew, or does not matter any more.
        """
        turn = done.token if isinstance(done.token, Turn) else done.token.turn
        if done.made.status is Status.TIMED_OUT:
            return False
        turn.crashes += 1
        if turn.crashes > _CRASHES:
            return False
        if isinstance(done.token, Turn):
            self._to_look_up.append(turn)
        elif done.token.counts:
            self._to_render.appendleft(done.token)
        return True

    # Reading

    def _feed(self) -> None:
        while self._ready and self._engines.takes:
            ticket = self._ready.popleft()
            now = time.monotonic()
            ticket.turn.waiting += now - ticket.since
            ticket.since = now
            self._began = self._began or now
            lost = self._engines.send(ticket)
            if lost is not None:
                self._lost(lost)

    def _hear(self, said: Answered | Late | Lost) -> None:
        match said:
            case Answered():
                self._answered(said.ticket, said.read)
            case Late() if said.ticket.counts:
                seconds = self._plan.limits.read_seconds
                reason = f"the engine had it longer than {seconds} s: "
                reason += f"{flag('read_seconds')} raises it"
                turn = said.ticket.turn
                self._settle(turn, turn.ended(Status.TIMED_OUT, reason))
            case Lost():
                self._lost(said)

    def _answered(self, ticket: Ticket, read: Read) -> None:
        turn = ticket.turn
        turn.reading += time.monotonic() - ticket.since
        self._tokens += read.tokens
        if not (ticket.counts and turn.answered(ticket.part, read)):
            return
        if turn.next_rung(self._plan):
            self._to_render.extend(turn.tickets(self._plan))
        elif turn.tried[-1].status in (Status.LOOPED, Status.TRUNCATED):
            self._to_look_up.append(turn)
        else:
            self._settle(turn, turn.record())

    def _looked_up(self, turn: Turn, text: str) -> None:
        """The text layer is better than an answer that is not whole, if it says as much."""
        record = turn.record()
        if text.strip() and len(text) >= len(record.text):
            record = turn.from_text_layer(text)
        self._settle(turn, record)

    def _lost(self, lost: Lost) -> None:
        """What an engine had goes to another one; a page that it died of alone has failed."""
        again = []
        for turn in lost.turns:
            self._forget(turn)  # what of it still waits is made anew
            turn.deaths += 1
            if turn.deaths > SUSPECT and lost.alone:
                reason = f"the engine ended with status {lost.code} each time it read the page"
                self._settle(turn, turn.ended(Status.ENGINE_FAILED, reason))
            elif turn.deaths >= SUSPECT:
                self._suspects.append(turn)
            else:
                again += turn.tickets(self._plan)
        self._to_render.extendleft(reversed(again))
        if self._ready:
            self._engines.start()

    def _forget(self, turn: Turn) -> None:
        turn.asked.clear()
        for ticket in [one for one in self._ready if one.turn is turn]:
            os.close(ticket.file)
            self._ready.remove(ticket)
        self._to_render = deque(one for one in self._to_render if one.turn is not turn)

    # Ending pages and documents

    def _settle(self, turn: Turn, record: PageRecord) -> None:
        self._forget(turn)
        self.degraded |= record.status not in WHOLE
        record = turn.book.add(record, self._engines.ready if record.attempts else None)
        self._pages += bool(record.attempts)
        self._tell(
            PageDone(
                document=turn.book.document.name,
                page=record.page,
                status=record.status,
                how=record.how,
                attempts=len(record.attempts),
                tokens=record.tokens,
            )
        )
        if turn.book.is_complete:
            self._finished(turn.book)

    def _finished(self, book: DocumentRun) -> None:
        if book.outputs_are_current:
            self._close(book)
        else:
            self._outputs.add(book)

    def _close(self, book: DocumentRun) -> None:
        book.close()
        self._open.discard(book)

    # Waiting and ending

    def _wait(self) -> None:
        """Wait for what comes next, and take it in."""
        channels = [*self._renderers.channels, *self._outputs.channels, *self._engines.channels]
        deadline = min(self._renderers.deadline, self._outputs.deadline)
        seconds = max(0.0, min(deadline - time.monotonic(), 1.0))
        waited: list[Channel | int] = [*channels, self._stop.descriptor]
        heard, _, _ = select.select(waited, [], [], seconds)
        self._stop.hear()
        ready = [channel for channel in channels if channel in heard]
        for said in self._engines.heard(ready):
            self._hear(said)
        for made in (*self._renderers.heard(ready), *self._renderers.late()):
            self._rendered(made)
        for book in self._outputs.heard(ready):
            self._close(book)
        for late in self._engines.late():
            self._hear(late)

    def _drain(self) -> None:
        """Begin nothing more; what the engine has is waited for."""
        self._planned_all = True
        self._to_render.clear()
        self._suspects.clear()
        for ticket in self._ready:
            os.close(ticket.file)
        self._ready.clear()

    def _say_how_it_goes(self) -> None:
        now = time.monotonic()
        if now - self._told_at < 1.0:
            return
        self._told_at = now
        self._tell(
            Moving(
                rendering=self._renderers.busy,
                ready=len(self._ready),
                reading=len(self._engines),
                writing=len(self._outputs),
                seconds=round(now - self._began, 3) if self._began else 0.0,
                pages=self._pages,
                tokens=self._tokens,
                waits_for=self._bottleneck(),
            )
        )

    def _bottleneck(self) -> Literal["engine start", "rendering", "engine", "writing"]:
        if self._outputs.is_full:
            return "writing"
        if self._engines.loading:
            return "engine start"
        return "engine" if self._ready or not self._renderers.busy else "rendering"

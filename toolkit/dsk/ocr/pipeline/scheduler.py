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
from dsk.ocr.pipeline.engine_pool import (
    DEATHS_BEFORE_ISOLATION,
    EngineLost,
    EnginePool,
    PageAnswered,
    RequestExpired,
)
from dsk.ocr.pipeline.output_queue import OutputQueue
from dsk.ocr.pipeline.page_state import EngineRequest, PageState
from dsk.ocr.pipeline.page_worker import PageTask, TextTask
from dsk.ocr.pipeline.worker_pool import CompletedTask, WorkerPool
from dsk.ocr.results.document_run import DocumentRun
from dsk.ocr.results.ledger import resume_hint
from dsk.ocr.results.manifest import settings_hash
from dsk.ocr.schema.events import Moving, PageDone
from dsk.ocr.schema.limits import flag
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.engines.worker import PageRead
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.shutdown import ShutdownRequest
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import RunPlan

_READY_FOR_EACH: Final = 4
"""Pages that wait for the engine, for each process that renders: 10 MB each."""
_CRASHES: Final = 1
"""Processes that may crash while they have a page before it is the page that has failed."""


class Pipeline:
    """A whole run. A context manager: leaving it ends every process.

    Args:
        plan: what is to be done.
        file: the job's file, for the engine.
        emit: told of what happens.
        shutdown: says whether the user wants it to end.
        engine: what to start as the engine.
    """

    def __init__(
        self,
        plan: RunPlan,
        file: Path,
        emit: Listener,
        shutdown: ShutdownRequest,
        engine: Sequence[str | Path] = COMMAND,
    ) -> None:
        self._plan = plan
        self._emit = emit
        self._shutdown = shutdown
        self._settings = settings_hash(plan)
        self._form = plan.engine.page_format
        size = plan.workers or max(1, min(8, len(os.sched_getaffinity(0)) - 1))
        self._renderers: WorkerPool[EngineRequest | PageState] = WorkerPool(size)
        self._outputs = OutputQueue(plan, emit)
        self._most_ready = _READY_FOR_EACH * size + 4
        self._engines = EnginePool(engine, file, plan, emit)
        self._page_iterator = self._planned()
        self._planned_all = False
        self._to_render: deque[EngineRequest] = deque()
        self._to_look_up: deque[PageState] = deque()
        self._ready: deque[EngineRequest] = deque()
        self._suspects: deque[PageState] = deque()
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
            for request in self._ready:
                os.close(request.file)
            self._engines.close()
            for document_run in self._open:
                document_run.close()
        if self._shutdown.requested:
            what = "the run was interrupted"
            raise Interrupted(what, do=resume_hint(overwrite=self._plan.overwrite))
        return not (self.degraded or self._outputs.degraded)

    def _step(self) -> bool:
        """Go on for a moment; whether there is more to do."""
        if self._shutdown.requested:
            self._drain()
        self._render()
        self._feed()
        if self._all_read:
            self._engines.release()
        if not self._shutdown.immediate:
            self._outputs.begin()
        self._report_progress()
        if self._idle:
            return False
        self._wait()
        return True

    @property
    def _idle(self) -> bool:
        if self._shutdown.immediate:
            return True
        return self._all_read and not self._outputs

    @property
    def _all_read(self) -> bool:
        waiting = self._to_render or self._to_look_up or self._suspects
        return self._planned_all and not (self._under_way or waiting)

    # Planning and rendering

    def _planned(self) -> Iterator[PageState | None]:
        """Every page that is to be read, in order; None where outputs alone are to be written."""
        for document in self._plan.documents:
            document_run = DocumentRun(self._plan, document, self._settings)
            self._open.add(document_run)
            for number, ended in document_run.taken_over.items():
                self.degraded |= ended.status not in WHOLE
                self._emit(
                    PageDone(
                        document=document.name,
                        page=number,
                        status=ended.status,
                        how=ended.how,
                        attempts=ended.attempts,
                        tokens=ended.tokens,
                        taken_over=True,
                    )
                )
            if document_run.is_complete:
                self._finished(document_run)
                yield None
            for number in document_run.remaining:
                yield PageState(document_run=document_run, number=number)
        self._planned_all = True

    def _render(self) -> None:
        """Give work to the processes that render, as long as there is room for what they make."""
        while self._renderers.has_room:
            if self._to_look_up:
                self._look_up(self._to_look_up.popleft())
                continue
            if len(self._ready) + self._renderers.busy >= self._most_ready:
                return
            request = self._following()
            if request is None:
                return
            request.since = time.monotonic()
            page = request.page
            task = PageTask(
                document=page.document_run.unpaged,
                page=page.number,
                dpi=self._plan.dpi,
                limits=self._plan.limits,
                part=request.part,
                mode=request.mode,
                form=self._form,
            )
            self._renderers.submit(request, task, self._plan.limits.render_seconds)

    def _following(self) -> EngineRequest | None:
        """What to render next: what is to be tried again first, then the plan, suspects last."""
        while not (self._to_render or self._planned_all or self._outputs.is_full):
            page = next(self._page_iterator, None)
            if page is not None:
                self._to_render.extend(page.requests(self._plan))
        if self._suspects and self._planned_all and not (self._to_render or self._under_way):
            self._to_render.extend(self._suspects.popleft().requests(self._plan))
        return self._to_render.popleft() if self._to_render else None

    @property
    def _under_way(self) -> bool:
        return bool(self._ready or self._engines or self._renderers.busy)

    def _look_up(self, page: PageState) -> None:
        task = TextTask(
            document=page.document_run.unpaged, page=page.number, limits=self._plan.limits
        )
        self._renderers.submit(page, task, self._plan.limits.render_seconds)

    def _rendered(self, done: CompletedTask[EngineRequest | PageState]) -> None:
        if done.crashed and self._retry_after_crash(done):
            return
        if isinstance(done.token, PageState):
            self._looked_up(done.token, done.result.text)
            return
        request, result = done.token, done.result
        page = request.page
        if not request.is_current or (self._shutdown.requested and done.file is not None):
            if done.file is not None:
                os.close(done.file)
            return
        page.render_seconds += result.seconds
        page.sheet = result.sheet or page.sheet
        page.split_row = result.split_row or page.split_row
        if result.payload is None or done.file is None:
            assert result.status is not None
            self._settle(page, page.record_without_answer(result.status, result.reason))
            return
        page.payload = page.payload or result.payload
        request.payload, request.file, request.since = result.payload, done.file, time.monotonic()
        self._ready.append(request)
        self._engines.start()

    def _retry_after_crash(self, done: CompletedTask[EngineRequest | PageState]) -> bool:
        """Begin anew where a process has ended for the first time: it may not be the page's doing.

        Returns:
            Whether it is begun anew, or does not matter any more.
        """
        page = done.token if isinstance(done.token, PageState) else done.token.page
        if done.result.status is Status.TIMED_OUT:
            return False
        page.worker_crashes += 1
        if page.worker_crashes > _CRASHES:
            return False
        if isinstance(done.token, PageState):
            self._to_look_up.append(page)
        elif done.token.is_current:
            self._to_render.appendleft(done.token)
        return True

    # Reading

    def _feed(self) -> None:
        while self._ready and self._engines.has_room:
            request = self._ready.popleft()
            now = time.monotonic()
            request.page.wait_seconds += now - request.since
            request.since = now
            self._began = self._began or now
            lost = self._engines.send(request)
            if lost is not None:
                self._lost(lost)

    def _dispatch(self, said: PageAnswered | RequestExpired | EngineLost) -> None:
        match said:
            case PageAnswered():
                self._answered(said.request, said.read)
            case RequestExpired() if said.request.is_current:
                seconds = self._plan.limits.read_seconds
                reason = f"the engine had it longer than {seconds} s: "
                reason += f"{flag('read_seconds')} raises it"
                page = said.request.page
                self._settle(page, page.record_without_answer(Status.TIMED_OUT, reason))
            case EngineLost():
                self._lost(said)

    def _answered(self, request: EngineRequest, read: PageRead) -> None:
        page = request.page
        page.read_seconds += time.monotonic() - request.since
        self._tokens += read.tokens
        if not (request.is_current and page.add_answer(request.part, read)):
            return
        if page.advance(self._plan):
            self._to_render.extend(page.requests(self._plan))
        elif page.attempts[-1].status in (Status.LOOPED, Status.TRUNCATED):
            self._to_look_up.append(page)
        else:
            self._settle(page, page.best_record())

    def _looked_up(self, page: PageState, text: str) -> None:
        """The text layer is better than an answer that is not whole, if it says as much."""
        record = page.best_record()
        if text.strip() and len(text) >= len(record.text):
            record = page.record_from_text_layer(text)
        self._settle(page, record)

    def _lost(self, lost: EngineLost) -> None:
        """What an engine had goes to another one; a page that it died of alone has failed."""
        again = []
        for page in lost.pages:
            self._forget(page)  # what of it still waits is made anew
            page.engine_deaths += 1
            if page.engine_deaths > DEATHS_BEFORE_ISOLATION and lost.alone:
                reason = f"the engine ended with status {lost.code} each time it read the page"
                self._settle(page, page.record_without_answer(Status.ENGINE_FAILED, reason))
            elif page.engine_deaths >= DEATHS_BEFORE_ISOLATION:
                self._suspects.append(page)
            else:
                again += page.requests(self._plan)
        self._to_render.extendleft(reversed(again))
        if self._ready:
            self._engines.start()

    def _forget(self, page: PageState) -> None:
        page.outstanding.clear()
        for request in [one for one in self._ready if one.page is page]:
            os.close(request.file)
            self._ready.remove(request)
        self._to_render = deque(one for one in self._to_render if one.page is not page)

    # Ending pages and documents

    def _settle(self, page: PageState, record: PageRecord) -> None:
        self._forget(page)
        self.degraded |= record.status not in WHOLE
        record = page.document_run.add(record, self._engines.ready if record.attempts else None)
        self._pages += bool(record.attempts)
        self._emit(
            PageDone(
                document=page.document_run.document.name,
                page=record.page,
                status=record.status,
                how=record.how,
                attempts=len(record.attempts),
                tokens=record.tokens,
            )
        )
        if page.document_run.is_complete:
            self._finished(page.document_run)

    def _finished(self, document_run: DocumentRun) -> None:
        if document_run.outputs_are_current:
            self._close(document_run)
        else:
            self._outputs.add(document_run)

    def _close(self, document_run: DocumentRun) -> None:
        document_run.close()
        self._open.discard(document_run)

    # Waiting and ending

    def _wait(self) -> None:
        """Wait for what comes next, and take it in."""
        channels = [*self._renderers.channels, *self._outputs.channels, *self._engines.channels]
        deadline = min(self._renderers.deadline, self._outputs.deadline)
        seconds = max(0.0, min(deadline - time.monotonic(), 1.0))
        waited: list[Channel | int] = [*channels, self._shutdown.descriptor]
        heard, _, _ = select.select(waited, [], [], seconds)
        self._shutdown.acknowledge()
        ready = [channel for channel in channels if channel in heard]
        for said in self._engines.poll(ready):
            self._dispatch(said)
        for made in (*self._renderers.poll(ready), *self._renderers.expire()):
            self._rendered(made)
        for document_run in self._outputs.poll(ready):
            self._close(document_run)
        for late in self._engines.expire():
            self._dispatch(late)

    def _drain(self) -> None:
        """Begin nothing more; what the engine has is waited for."""
        self._planned_all = True
        self._to_render.clear()
        self._suspects.clear()
        for request in self._ready:
            os.close(request.file)
        self._ready.clear()

    def _report_progress(self) -> None:
        now = time.monotonic()
        if now - self._told_at < 1.0:
            return
        self._told_at = now
        self._emit(
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

"""Scheduler of a run: documents are rendered, read and written at the same time.

One loop, in a process that neither renders nor generates: it assigns pages to document workers,
sends rendered pages to the engines as these take them, and appends answers to the ledgers. Every
queue in it is bounded, so memory does not grow with the number of pages.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from dsk.errors import Interrupted
from dsk.ocr.documents import sandbox
from dsk.ocr.ipc.waiting import readable
from dsk.ocr.pipeline import retry_policy
from dsk.ocr.pipeline.engine_pool import (
    DEATHS_BEFORE_ISOLATION,
    EngineLost,
    EnginePool,
    PageAnswered,
    RequestExpired,
    RequestRendered,
)
from dsk.ocr.pipeline.open_documents import OpenDocuments
from dsk.ocr.pipeline.output_queue import OutputQueue
from dsk.ocr.pipeline.page_state import EngineRequest, PageState
from dsk.ocr.pipeline.page_worker import PageTask, TaskResult, TextTask
from dsk.ocr.pipeline.render_queue import RenderQueue, most_ready
from dsk.ocr.pipeline.throughput import Throughput
from dsk.ocr.pipeline.worker_pool import CompletedTask, WorkerPool
from dsk.ocr.results.ledger import resume_hint
from dsk.ocr.schema.events import CardsUsed, Warned
from dsk.ocr.schema.limits import flag
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from dsk.ocr.engines.worker import PageRead, PageRendered
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.pipeline.engine_source import EngineSource
    from dsk.ocr.pipeline.shutdown import ShutdownRequest
    from dsk.ocr.schema.events import CardUse, Listener
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import RunPlan

# Eight workers prepare some 60 pages a second: a large card reads a third of that.
_WORKERS_PER_CARD: Final = 8

# Workers that may crash with a page before the page has failed: the first crash may be the doing of
# another page, or of the kernel's out-of-memory killer.
_CRASHES_ALLOWED: Final = 1

# Machines that may be lost with a page. Losses are rarely a page's doing: only after so many each
# counts as the end of an engine.
_LOSSES_ALLOWED: Final = 5


class Pipeline:
    """Scheduler of a whole run; every process that it starts has ended when `run` returns.

    Args:
        plan: the plan of the run.
        emit: called with each event.
        shutdown: the user's request to end, polled and waited for.
        engines: where the engines are.
    """

    def __init__(
        self,
        plan: RunPlan,
        engines: EngineSource,
        emit: Listener,
        shutdown: ShutdownRequest,
    ) -> None:
        self._plan = plan
        self._emit = emit
        self._shutdown = shutdown
        self._form = plan.engine.page_format
        # One core is left for the engine's own process and this loop.
        most = _WORKERS_PER_CARD * len(plan.placement.cards)
        size = plan.workers or max(1, min(most, len(os.sched_getaffinity(0)) - 1))
        self._renderers: WorkerPool[EngineRequest | PageState] = WorkerPool(size)
        self._outputs = OutputQueue(plan, emit)
        self._documents = OpenDocuments(plan, emit, self._outputs)
        self._throughput = Throughput(emit)
        self._most_ready = most_ready(
            size,
            has_gpu=plan.engine.device == "cuda",
            memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        self._engines = EnginePool(engines, plan, emit)
        self._to_render = RenderQueue(self._documents.pages(), plan, self._outputs)
        self._to_look_up: deque[PageState] = deque()
        self._ready: deque[EngineRequest] = deque()

    def run(self) -> bool:
        """Read every document; return True if every page and every output is whole.

        Raises:
            Interrupted: the user ended the run; the pages read so far are in the ledgers.
            EngineDied: engines keep dying.
            DskError: an output cannot be written, or an engine not be started.
        """
        if missing := " and no ".join(sandbox.gaps()):
            what = f"a malicious document is not held fast here: this kernel has no {missing}"
            self._emit(Warned(message=f"{what}; dsk doctor says more"))
        try:
            with self._renderers, self._outputs:
                while self._step():
                    pass
                self._report_cost()
        finally:
            for request in self._ready:
                request.close()
            self._engines.close()
            self._documents.close_all()
        if self._shutdown.requested:
            what = "the run was interrupted"
            raise Interrupted(what, do=resume_hint(overwrite=self._plan.overwrite))
        return not (self._documents.degraded or self._outputs.degraded)

    def _report_cost(self) -> None:
        """Emit what the cards have read, and what the run waited for."""
        meters = self._engines.meters
        if not meters.seconds:
            return  # everything had been read before
        waited = {stage: round(each, 3) for stage, each in self._throughput.waited.items()}
        cards = meters.uses(self._engines.engines_wanted)
        self._emit(CardsUsed(seconds=round(meters.seconds, 3), cards=cards, waited=waited))

    def _card_uses(self) -> tuple[CardUse, ...]:
        now = time.monotonic()
        return self._engines.meters.uses(self._engines.engines_by_card, now=now)

    def _step(self) -> bool:
        """Move everything on that can move, then wait for news; return False at the end."""
        if self._shutdown.requested:
            self._drain()
            self._shutdown.announce(self._emit, len(self._engines))
        self._assign_rendering()
        self._feed_engines()
        if self._all_read:
            self._engines.release()
        if not self._shutdown.immediate:
            self._outputs.start_writing()
        self._throughput.report(
            rendering=self._renderers.busy,
            ready=len(self._ready),
            reading=len(self._engines),
            writing=len(self._outputs),
            engines_loading=self._engines.is_loading,
            outputs_full=self._outputs.is_full,
            cards=self._card_uses,
        )
        if self._is_over:
            return False
        self._wait()
        return True

    @property
    def _is_over(self) -> bool:
        if self._shutdown.immediate:
            return True
        return self._all_read and not self._outputs

    @property
    def _all_read(self) -> bool:
        return self._to_render.is_exhausted and not (self._in_progress or self._to_look_up)

    @property
    def _in_progress(self) -> bool:
        return bool(self._ready or self._engines or self._renderers.busy)

    # Rendering

    def _assign_rendering(self) -> None:
        """Assign work to the renderers, as long as there is room for the pages that they render."""
        while self._renderers.has_room:
            if self._to_look_up:
                self._look_up(self._to_look_up.popleft())
                continue
            # Busy renderers count as if they had finished: what they render must find room too.
            if len(self._ready) + self._renderers.busy >= self._most_ready:
                return
            request = self._to_render.next(idle=not self._in_progress)
            if request is None:
                return
            request.since = time.monotonic()
            if self._engines.render and self._plan.text_layer != "only":
                self._make_ready(request)
                continue
            page = request.page
            task = PageTask(
                document=page.document_run.unpaged,
                page=page.number,
                dpi=self._plan.dpi,
                limits=self._plan.limits,
                part=request.part,
                profile=self._plan.engine.profile,
                mode=request.mode,
                form=self._form,
            )
            self._renderers.submit(request, task, self._plan.limits.render_seconds)

    def _look_up(self, page: PageState) -> None:
        """Assign the extraction of a page's text layer."""
        task = TextTask(
            document=page.document_run.unpaged, page=page.number, limits=self._plan.limits
        )
        self._renderers.submit(page, task, self._plan.limits.render_seconds)

    def _take_rendered(self, completed: CompletedTask[EngineRequest | PageState]) -> None:
        """Queue a rendered page for the engines, or settle one that could not be rendered."""
        if completed.crashed and self._retry_after_crash(completed):
            return
        request, result = completed.token, completed.result
        if isinstance(request, PageState):
            self._settle(request, request.record_with_text_layer(result.text))
            return
        page = request.page
        draining = self._shutdown.requested and completed.file is not None
        if draining or not request.is_current:
            if completed.file is not None:
                os.close(completed.file)
            return
        page.note_rendering(result)
        if result.payload is None or completed.file is None:
            assert result.status is not None
            self._settle(page, page.record_without_answer(result.status, result.reason))
            return
        if self._plan.text_layer == "only":
            # It was rendered for its size, and to tell an empty page from a blank one.
            os.close(completed.file)
            self._to_look_up.append(page)
            return
        request.payload, request.file = result.payload, completed.file
        request.since = time.monotonic()
        self._make_ready(request)

    def _make_ready(self, request: EngineRequest) -> None:
        """Queue a request for the engines."""
        self._ready.append(request)
        # Not earlier: a run without a page to read loads no model.
        self._engines.start()

    def _take_rendered_by_engine(self, request: EngineRequest, rendered: PageRendered) -> None:
        """Take in how an engine has rendered a page, as `_take_rendered` does for a worker."""
        if not request.is_current:
            return
        result = TaskResult.model_validate(
            rendered.model_dump(exclude={"what", "number", "crashed"})
        )
        if result.status is not None:
            self._take_rendered(
                CompletedTask(token=request, result=result, crashed=rendered.crashed)
            )
            return
        page, request.since = request.page, time.monotonic()
        page.note_rendering(result)

    def _retry_after_crash(self, completed: CompletedTask[EngineRequest | PageState]) -> bool:
        """Retry after the first worker crash; the page may not be the cause.

        Returns:
            False if the result stands. A page that timed out would only take as long again.
        """
        token = completed.token
        page = token if isinstance(token, PageState) else token.page
        if completed.result.status is Status.TIMED_OUT:
            return False
        page.worker_crashes += 1
        if page.worker_crashes > _CRASHES_ALLOWED:
            return False
        if isinstance(token, PageState):
            self._to_look_up.append(page)
        elif token.is_current:
            self._to_render.put_first([token])
        return True

    # Reading

    def _feed_engines(self) -> None:
        """Send rendered pages to the engines, as long as these take them."""
        if self._ready:
            # Some may have waited for others to load: the next ones begin.
            self._engines.start()
        while self._ready and self._engines.has_room:
            request = self._ready.popleft()
            now = time.monotonic()
            request.page.wait_seconds += now - request.since
            # An engine that renders says when it has: until then its time for reading does not run.
            request.since = math.inf if self._engines.render else now
            self._throughput.count_sent(request.page.document_run.document.name, now)
            lost = self._engines.send(request)
            if lost is not None:
                self._requeue(lost)

    def _dispatch(
        self, message: PageAnswered | RequestRendered | RequestExpired | EngineLost
    ) -> None:
        match message:
            case PageAnswered():
                self._take_answer(message.request, message.answer, message.card)
            case RequestRendered():
                self._take_rendered_by_engine(message.request, message.rendered)
            case RequestExpired() if message.request.is_current:
                seconds = self._plan.limits.read_seconds
                reason = f"the engine had it longer than {seconds} s: "
                reason += f"{flag('read_seconds')} raises it"
                page = message.request.page
                self._settle(page, page.record_without_answer(Status.TIMED_OUT, reason))
            case EngineLost():
                self._requeue(message)

    def _take_answer(self, request: EngineRequest, answer: PageRead, card: int) -> None:
        """Add an answer to its page; retry the page, look up its text layer, or settle it."""
        page = request.page
        page.read_seconds += time.monotonic() - request.since
        page.card = card
        self._throughput.tokens += answer.tokens
        if not (request.is_current and page.add_answer(request.part, answer)):
            return
        if page.advance(self._plan):
            self._to_render.add(page)
        elif retry_policy.has_text_layer_step(self._plan, page.attempts[-1].status):
            self._to_look_up.append(page)
        else:
            self._settle(page, page.best_record())

    def _requeue(self, lost: EngineLost) -> None:
        """Requeue a dead engine's pages; fail a page that killed an engine while running alone."""
        requests = []
        for page in lost.pages:
            # Its other half may still wait to be rendered or sent: both are requested anew.
            self._forget(page)
            page.losses += lost.is_lost
            is_blamed = not lost.is_lost or page.losses > _LOSSES_ALLOWED
            page.engine_deaths += is_blamed
            if not is_blamed:
                requests += page.requests(self._plan)
            elif page.engine_deaths > DEATHS_BEFORE_ISOLATION and lost.isolated:
                reason = f"the engine {lost.how}, each time it read the page"
                self._settle(page, page.record_without_answer(Status.ENGINE_FAILED, reason))
            elif page.engine_deaths >= DEATHS_BEFORE_ISOLATION:
                self._to_render.isolate(page)
            else:
                requests += page.requests(self._plan)
        self._to_render.put_first(requests)
        if self._ready:
            self._engines.start()

    def _forget(self, page: PageState) -> None:
        """Drop a page's requests, wherever they are: answers to them are ignored."""
        page.outstanding.clear()
        for request in [each for each in self._ready if each.page is page]:
            request.close()
            self._ready.remove(request)
        self._to_render.remove(page)

    def _settle(self, page: PageState, record: PageRecord) -> None:
        """End a page with its final record."""
        self._forget(page)
        record = self._documents.record(page, record, self._engines.ready)
        self._throughput.pages += bool(record.attempts)
        if page.card is not None:
            self._engines.meters.count_page(page.card)

    # Waiting and ending

    def _wait(self) -> None:
        """Wait up to a second for messages, deadlines and signals, and handle what has come."""
        channels = [*self._renderers.channels, *self._outputs.channels, *self._engines.channels]
        deadline = min(self._renderers.deadline, self._outputs.deadline)
        seconds = max(0.0, min(deadline - time.monotonic(), 1.0))
        waited: list[Channel | int] = [*channels, self._shutdown.descriptor]
        found = set(map(id, readable(waited, seconds)))
        self._shutdown.acknowledge()
        ready = [channel for channel in channels if id(channel) in found]
        # Messages before deadlines: an answer that came while this loop was busy is not late.
        for message in self._engines.poll(ready):
            self._dispatch(message)
        for completed in (*self._renderers.poll(ready), *self._renderers.expire()):
            self._take_rendered(completed)
        for document_run in self._outputs.poll(ready):
            self._documents.close(document_run)
        for expired in self._engines.expire():
            self._dispatch(expired)

    def _drain(self) -> None:
        """Start nothing more; only the pages that engines have are waited for."""
        self._to_render.clear()
        for request in self._ready:
            request.close()
        self._ready.clear()

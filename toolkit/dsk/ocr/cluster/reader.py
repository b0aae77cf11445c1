"""The process that reads on a card of a cluster: renders pages, and has its engine read them.

``python -m dsk.ocr.cluster.reader PLAN.json FD SHARE COMMAND...``: SHARE is the number of readers
among which the node's cores are divided, and the command starts the engine. Page numbers come in
over the inherited channel, answers go out; see `dsk.ocr.engines.worker.RenderPage`.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, TypeAdapter

from dsk.errors import DskError
from dsk.ocr.engines.connection import EngineDied
from dsk.ocr.engines.handle import EngineHandle
from dsk.ocr.engines.worker import (
    DropPage,
    EngineNotice,
    PageRead,
    PageRendered,
    PageTaken,
    ReaderEnded,
    RenderPage,
    StartFailed,
)
from dsk.ocr.ipc.channel import Channel
from dsk.ocr.ipc.waiting import readable
from dsk.ocr.pipeline.page_worker import PageTask
from dsk.ocr.pipeline.worker_pool import WorkerPool
from dsk.ocr.schema.run_plan import RunPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.ocr.ipc.payload import Payload
    from dsk.ocr.pipeline.worker_pool import CompletedTask

_ORDERS: TypeAdapter[RenderPage | DropPage] = TypeAdapter(
    Annotated[RenderPage | DropPage, Field(discriminator="what")]
)
# Eight prepare some 60 pages a second: a large card reads a third of that.
_MOST_WORKERS: Final = 8
# Rendered pages that may wait for the engine, for each worker. No more: what waits here at the end
# of a run could be read on another card.
_READY_PER_WORKER: Final = 4


class Reader:
    """The renderers and the engine of one card.

    Args:
        plan: the plan of the run.
        channel: the way to the driver.
        engine: the engine, which may still be loading.
        workers: processes that render.
    """

    def __init__(self, plan: RunPlan, channel: Channel, engine: EngineHandle, workers: int) -> None:
        self._plan = plan
        self._channel = channel
        self._engine = engine
        self._ahead = _READY_PER_WORKER * workers + 4
        self._is_announced = False
        self._renderers: WorkerPool[int] = WorkerPool(workers)
        self._orders: dict[int, RenderPage] = {}
        """Pages that the driver still waits for."""
        self._to_render: deque[int] = deque()
        self._ready: deque[tuple[int, Payload, int, PageRendered]] = deque()

    def run(self) -> None:
        """Read pages until the driver closes the channel.

        Raises:
            EOFError: it has.
            EngineDied: the engine has ended.
            DskError: the engine or the renderers cannot be started.
        """
        with self._renderers:
            while True:
                self._assign()
                self._feed()
                self._wait()

    def _assign(self) -> None:
        while self._to_render and self._renderers.has_room:
            if len(self._ready) + self._renderers.busy >= self._ahead:
                return
            order = self._orders.get(self._to_render.popleft())
            if order is None:  # dropped while it waited
                continue
            task = PageTask(
                document=order.document,
                page=order.page,
                dpi=self._plan.dpi,
                limits=self._plan.limits,
                part=order.part,
                profile=self._plan.engine.profile,
                mode=order.mode,
                form=self._plan.engine.page_format,
            )
            self._renderers.submit(order.number, task, self._plan.limits.render_seconds)

    def _feed(self) -> None:
        while self._ready and self._engine.takes:
            number, payload, file, rendered = self._ready.popleft()
            order = self._orders.get(number)
            if order is None:
                os.close(file)
                continue
            self._channel.send(rendered)
            self._engine.send(number, payload, order.request, file)

    def _wait(self) -> None:
        channels = [self._channel, self._engine.channel, *self._renderers.channels]
        seconds = max(0.0, min(self._renderers.deadline - time.monotonic(), 1.0))
        ready = readable(channels, seconds)
        if self._channel in ready:
            self._obey()
        if self._engine.channel in ready:
            self._take_message()
        self._engine.check_alive()
        for completed in (*self._renderers.poll(ready), *self._renderers.expire()):
            self._take_rendered(completed)

    def _obey(self) -> None:
        body, _ = self._channel.receive()
        order = _ORDERS.validate_json(body)
        if isinstance(order, RenderPage):
            self._orders[order.number] = order
            self._to_render.append(order.number)
            self._channel.send(PageTaken(number=order.number))
        elif self._orders.pop(order.number, None) and order.number in self._engine.inside:
            self._engine.drop(order.number)

    def _take_message(self) -> None:
        message = self._engine.receive()
        if self._engine.ready is not None and not self._is_announced:
            self._is_announced = True
            ready = self._engine.ready
            capacity = ready.capacity + self._ahead
            self._channel.send(ready.model_copy(update={"capacity": capacity}))
        if isinstance(message, PageRead):
            self._orders.pop(message.number, None)
            self._channel.send(message)
        elif isinstance(message, EngineNotice):
            self._channel.send(message)

    def _take_rendered(self, completed: CompletedTask[int]) -> None:
        number, result = completed.token, completed.result
        rendered = PageRendered(
            number=number,
            sheet=result.sheet,
            status=result.status,
            reason=result.reason,
            payload=result.payload,
            split_row=result.split_row,
            seconds=result.seconds,
            crashed=completed.crashed,
        )
        if number not in self._orders:
            if completed.file is not None:
                os.close(completed.file)
        elif result.payload is None or completed.file is None:
            del self._orders[number]
            self._channel.send(rendered)
        else:
            self._ready.append((number, result.payload, completed.file, rendered))


def _workers(plan: RunPlan, share: int) -> int:
    # A core is left for each reader's engine.
    cores = len(os.sched_getaffinity(0)) // share
    return plan.workers or max(1, min(_MOST_WORKERS, cores - 1))


def main() -> None:
    """Start the engine of a plan, and read with it."""
    file, descriptor, share = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    # What libraries print belongs to the log.
    os.dup2(2, 1)
    channel = Channel.inherited(descriptor)
    plan = RunPlan.model_validate_json(file.read_bytes())
    if plan.umask is not None:
        os.umask(plan.umask)
    try:
        _read(plan, file, channel, share, sys.argv[4:])
    except EOFError:  # the driver has ended, in good order or not: nobody waits for answers
        return
    except EngineDied as died:
        _tell(channel, ReaderEnded(code=died.code, how=died.how))
        sys.exit(1)
    except DskError as error:
        do, code = error.do, error.exit_code
        _tell(channel, StartFailed(message=error.what, do=do, exit_code=code))
        sys.exit(code)
    finally:
        file.unlink(missing_ok=True)


def _read(plan: RunPlan, file: Path, channel: Channel, share: int, command: Sequence[str]) -> None:
    variables = plan.placement.cards[0].environment
    engine = EngineHandle([sys.executable, *command], file, 1, 0, variables)
    try:
        workers = _workers(plan, share)
        Reader(plan, channel, engine, workers).run()
    finally:
        engine.end()


def _tell(channel: Channel, message: ReaderEnded | StartFailed) -> None:
    try:
        channel.send(message)
    except EOFError:  # nobody waits for it any more
        return


if __name__ == "__main__":
    main()

"""The process that holds the engine: page requests in, answers out, over an inherited channel.

``python -m dsk.ocr.engines.worker PLAN.json FD CARD``: CARD is the position of its card in the
plan's placement. What vLLM prints goes to standard error. Pages are taken in while answers are
generated, so they join the batch as they come.
"""

from __future__ import annotations

import os
import select
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter

from dsk.errors import DskError
from dsk.ocr.engines.base import PageRequest
from dsk.ocr.ipc import payload
from dsk.ocr.ipc.channel import Channel, Message
from dsk.ocr.ipc.payload import Payload
from dsk.ocr.schema.page_record import PagePart, Sheet, Status
from dsk.ocr.schema.run_plan import Document, RunPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.models.base import Views
    from dsk.ocr.engines.base import Engine
    from dsk.ocr.schema.engine_config import EngineConfig


_MOST_TOKENS: Final = 1 << 31


class ReadPage(Message):
    """A page to read; its pixels travel as a file beside the message."""

    what: Literal["page"] = "page"
    number: int
    payload: Payload
    request: PageRequest


class DropPage(Message):
    """A page that is no longer wanted."""

    what: Literal["drop"] = "drop"
    number: int


class RenderPage(Message):
    """A page to render and to read, for an engine that does both on a machine of its own.

    Args:
        number: of the request.
        document: without its list of pages.
        page: 1-based.
        part: the half to read, or the whole page.
        mode: the model's resolution.
        request: the prompt and the limits on the answer.
    """

    what: Literal["render"] = "render"
    number: int
    document: Document
    page: int
    part: PagePart
    mode: str
    request: PageRequest


class EngineReady(Message):
    """The model is loaded.

    Args:
        settings: what the engine was started with.
        device: its name.
        capacity: pages to have in flight.
    """

    what: Literal["ready"] = "ready"
    settings: dict[str, Any]
    device: str
    capacity: int = Field(ge=1)


class PageTaken(Message):
    """A page is in the engine; the next may come."""

    what: Literal["taken"] = "taken"
    number: int


class PageRead(Message):
    """A page has its answer; the fields are those of `dsk.ocr.engines.base.PageAnswer`."""

    what: Literal["read"] = "read"
    number: int
    text: str
    finish_reason: str
    tokens: int = Field(ge=0, le=_MOST_TOKENS)
    prompt_tokens: int = Field(ge=0, le=_MOST_TOKENS)
    problem: str = ""


class PageRendered(Message):
    """A page of a `RenderPage` is in the engine now, or could not be rendered.

    Args:
        number: of the request.
        sheet: the page's size, where it is known.
        status: the page's final state; None if it is being read.
        reason: the cause of that state.
        payload: the description of its pixels.
        split_row: the row, in pixels, that halves are split at.
        seconds: time that the rendering took.
        crashed: whether the process that rendered it died or was killed.
    """

    what: Literal["rendered"] = "rendered"
    number: int
    sheet: Sheet | None = None
    status: Status | None = None
    reason: str = ""
    payload: Payload | None = None
    split_row: int = 0
    seconds: float = 0.0
    crashed: bool = False


class ReaderEnded(Message):
    """The reader on another machine has ended; the fields are those of `EngineDied`."""

    what: Literal["ended"] = "ended"
    code: int
    how: str
    is_lost: bool = False


class EngineNotice(Message):
    """Something about the engine that the user should know while it reads."""

    what: Literal["notice"] = "notice"
    text: str


class StartFailed(Message):
    """The engine cannot be started; the exit code is of the error's kind."""

    what: Literal["fault"] = "fault"
    message: str
    do: str
    exit_code: int


EngineMessage = (
    EngineReady | PageTaken | PageRendered | PageRead | EngineNotice | StartFailed | ReaderEnded
)
# Parses one message of the engine's process.
MESSAGES: TypeAdapter[EngineMessage] = TypeAdapter(
    Annotated[EngineMessage, Field(discriminator="what")]
)
_ORDERS: TypeAdapter[ReadPage | DropPage] = TypeAdapter(
    Annotated[ReadPage | DropPage, Field(discriminator="what")]
)


def engine_for(plan: RunPlan, card: int, notify: Callable[[str], None]) -> Engine:
    """Start an engine of a plan and return it, ready to read.

    Args:
        plan: the plan.
        card: the position of its card in the plan's placement.
        notify: called with what the user should know while the engine reads.

    Raises:
        DskError: it cannot be started, of the fitting kind.
    """
    # Each kind imports what the other's environment need not have.
    if plan.engine.kind == "server":
        from dsk.ocr.engines.http import HttpEngine

        seconds = plan.limits.read_seconds
        return HttpEngine(plan.engine, read_seconds=seconds, notify=notify)
    from dsk.ocr.engines.vllm import VllmEngine

    number = plan.placement.cards[card].number
    return VllmEngine(plan.engine_on(card), plan.stack, number or 0)


def serve(channel: Channel, engine: Engine) -> None:
    """Read pages until the other end of the channel is closed."""
    try:
        while True:
            # An engine with pages must step on at once, an idle one sleeps until a page comes.
            patience = 0 if engine.running else None
            while select.select([channel], [], [], patience)[0]:
                _obey(channel, engine)
                patience = 0
            for number, answer in engine.step():
                channel.send(PageRead(number=number, **asdict(answer)))
    except EOFError:  # the runner has ended, in good order or not: nobody waits for answers
        engine.close()


def _obey(channel: Channel, engine: Engine) -> None:
    body, file = channel.receive()
    order = _ORDERS.validate_json(body)
    if isinstance(order, DropPage):
        engine.drop(order.number)
        return
    assert file is not None
    engine.add(order.number, _pixels(order.payload, file), order.request)
    channel.send(PageTaken(number=order.number))


def _pixels(described: Payload, file: int) -> Views | bytes:
    if described.form == "png":
        return payload.read_png(file)
    return payload.read_views(described, file)


def main() -> None:
    """Load the engine of a plan, and read."""
    # Standard output is the channel's neighbour: what libraries print belongs to the log.
    os.dup2(2, 1)
    channel = Channel.inherited(int(sys.argv[2]))
    plan = RunPlan.model_validate_json(Path(sys.argv[1]).read_bytes())
    card = int(sys.argv[3])
    try:
        engine = engine_for(plan, card, lambda text: channel.send(EngineNotice(text=text)))
    except DskError as error:
        channel.send(StartFailed(message=error.what, do=error.do, exit_code=error.exit_code))
        sys.exit(error.exit_code)
    ready = EngineReady(
        settings=engine.settings, device=_device_name(plan.engine), capacity=engine.capacity
    )
    channel.send(ready)
    serve(channel, engine)


def _device_name(config: EngineConfig) -> str:
    if config.device == "cuda":
        import torch

        return str(torch.cuda.get_device_name(0))
    import platform

    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()

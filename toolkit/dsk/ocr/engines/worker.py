"""The process that holds the engine: pages in, answers out, over the channel it is started with.

``python -m dsk.ocr.engines.worker JOB.json FD``. What vLLM prints goes to standard error. It reads
on while answers are generated, so pages join the batch as they come.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from dsk.errors import DskError
from dsk.ocr.engines.vllm import Ask, engine_for
from dsk.ocr.ipc import payload
from dsk.ocr.ipc.channel import Channel, Message
from dsk.ocr.ipc.payload import Payload
from dsk.ocr.schema.run_plan import RunPlan

if TYPE_CHECKING:
    from dsk.models.deepseek_ocr.tiles import Views
    from dsk.ocr.engines.vllm import Reader


class Page(Message):
    """A page to read; its pixels go along."""

    what: Literal["page"] = "page"
    number: int
    payload: Payload
    ask: Ask


class Drop(Message):
    """A page that is no longer wanted."""

    what: Literal["drop"] = "drop"
    number: int


class Ready(Message):
    """The model is loaded.

    Args:
        settings: what the engine was started with.
        device: its name.
        capacity: pages to have in flight.
    """

    what: Literal["ready"] = "ready"
    settings: dict[str, Any]
    device: str
    capacity: int


class Taken(Message):
    """A page is in the engine; the next may come."""

    what: Literal["taken"] = "taken"
    number: int


class Read(Message):
    """A page has its answer; the fields are those of `dsk.ocr.engines.vllm.Answer`."""

    what: Literal["read"] = "read"
    number: int
    text: str
    finish_reason: str
    tokens: int
    prompt_tokens: int
    problem: str = ""


class Fault(Message):
    """The engine cannot be started; the exit code is of the error's kind."""

    what: Literal["fault"] = "fault"
    message: str
    do: str
    exit_code: int


Heard = Ready | Taken | Read | Fault
HEARD: TypeAdapter[Heard] = TypeAdapter(Annotated[Heard, Field(discriminator="what")])
"""Reads what the engine says."""
_ORDERS: TypeAdapter[Page | Drop] = TypeAdapter(Annotated[Page | Drop, Field(discriminator="what")])


def serve(channel: Channel, reader: Reader) -> None:
    """Read what comes until nobody is there any more."""
    try:
        while True:
            patience = 0 if reader.running else None
            while select.select([channel], [], [], patience)[0]:
                _obey(channel, reader)
                patience = 0
            for number, answer in reader.step():
                channel.send(
                    Read(
                        number=number,
                        text=answer.text,
                        finish_reason=answer.finish_reason,
                        tokens=answer.tokens,
                        prompt_tokens=answer.prompt_tokens,
                        problem=answer.problem,
                    )
                )
    except EOFError:
        reader.close()


def _obey(channel: Channel, reader: Reader) -> None:
    body, file = channel.receive()
    order = _ORDERS.validate_json(body)
    if isinstance(order, Drop):
        reader.drop(order.number)
        return
    assert file is not None
    reader.add(order.number, _pixels(order.payload, file), order.ask)
    channel.send(Taken(number=order.number))


def _pixels(described: Payload, file: int) -> Views | bytes:
    if described.form == "png":
        return payload.png_in(file)
    return payload.views_in(described, file)


def main() -> None:
    """Load the engine of a job, and read."""
    os.dup2(2, 1)
    channel = Channel.inherited(int(sys.argv[2]))
    plan = RunPlan.model_validate_json(Path(sys.argv[1]).read_bytes())
    try:
        reader = engine_for(plan)
    except DskError as error:
        said = Fault(message=error.what, do=error.do, exit_code=error.exit_code)
        channel.send(said)
        sys.exit(error.exit_code)
    settings = Ready(settings=reader.settings, device=_device(plan), capacity=reader.capacity)
    channel.send(settings)
    serve(channel, reader)


def _device(plan: RunPlan) -> str:
    if plan.device == "cuda":
        import torch

        return str(torch.cuda.get_device_name(0))
    import platform

    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()

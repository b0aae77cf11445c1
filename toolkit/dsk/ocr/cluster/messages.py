"""Messages between a run's driver and the gateway to its Ray cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from dsk.ocr.ipc.channel import Message
from dsk.ocr.schema.engine_config import CardPlacement
from dsk.ocr.schema.run_plan import RunPlan


class OpenCluster(Message):
    """First order: connect to the plan's cluster, and look for cards.

    Args:
        plan: the plan, with a few documents that every node has to see, and without their pages.
        command: the command that starts an engine, without the interpreter.
    """

    order: Literal["open"] = "open"
    plan: RunPlan
    command: tuple[str, ...]


class StartReader(Message):
    """Order to start a reader on a card that has been offered; its channel's end is sent along."""

    order: Literal["start"] = "start"
    slot: int


class CardOffered(Message):
    """A card can read: a new one, or one whose last reader has ended."""

    what: Literal["card"] = "card"
    slot: int
    """Number of the card, which it keeps."""
    placement: CardPlacement


class ClusterWarning(Message):
    """A message about the cluster that the user should see."""

    what: Literal["warning"] = "warning"
    message: str


class ClusterFailed(Message):
    """The run cannot go on with this cluster; the exit code is of the error's kind."""

    what: Literal["failed"] = "failed"
    message: str
    do: str
    exit_code: int


GatewayMessage = CardOffered | ClusterWarning | ClusterFailed
# Parses one message of the gateway's.
MESSAGES: TypeAdapter[GatewayMessage] = TypeAdapter(
    Annotated[GatewayMessage, Field(discriminator="what")]
)
# Parses one order of the driver's.
ORDERS: TypeAdapter[OpenCluster | StartReader] = TypeAdapter(
    Annotated[OpenCluster | StartReader, Field(discriminator="order")]
)

"""Slots of a cluster: each is a card of a node, whose actor has one reader after the other."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dsk.ocr.cluster.actor import ReaderActor
from dsk.ocr.cluster.messages import CardOffered, ClusterWarning
from dsk.ocr.cluster.node_check import problem
from dsk.ocr.cluster.node_facts import NodeFacts
from dsk.ocr.engines.worker import ReaderEnded
from dsk.ocr.schema.engine_config import CardPlacement

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.ocr.ipc.channel import Channel, Message

# Seconds between two attempts at an actor that Ray is starting anew.
_RETRY_SECONDS: Final = 0.5
# Longest that a call waits for messages: it then shows that the actor is alive.
_POLL_SECONDS: Final = 5.0
# Calls that an actor carries out at once: one sends, one receives, one may have it leave.
_CALLS_AT_ONCE: Final = 4
_LOST: Final = 1


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the cluster.

    Args:
        id: Ray's.
        name: for messages.
        slots: cards, or one for a node whose CPU reads.
        has_gpu: whether the slots are cards.
        model: the model of its cards, as far as Ray knows it.
    """

    id: str
    name: str
    slots: int
    has_gpu: bool
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class ReaderOrder:
    """Everything that a reader is started with.

    Args:
        plan: the plan, as JSON.
        command: starts the engine, without the interpreter.
        driver: the facts of the driver's machine, which a node's have to agree with.
        stack: the id of the run's stack.
    """

    plan: str
    command: tuple[str, ...]
    driver: NodeFacts
    stack: str


class NodeRefused(Exception):
    """A node that would not read as the driver's machine does.

    Args:
        what: why not.
        do: what mends it.
    """

    def __init__(self, what: str, do: str) -> None:
        self.what = what
        self.do = do
        super().__init__(what)


class Slot:
    """One card of a node, or its CPU.

    Args:
        number: of the slot, from 0.
        node: the node.
        order: what its readers are started with.
        send: sends a message to the driver.
        is_alive: tells whether a node is still in the cluster.
    """

    def __init__(
        self,
        number: int,
        node: Node,
        order: ReaderOrder,
        send: Callable[[Message], None],
        is_alive: Callable[[str], bool],
    ) -> None:
        self._number = number
        self._node = node
        self._order = order
        self._send = send
        self._is_alive = is_alive
        self._channels: asyncio.Queue[Channel] = asyncio.Queue()
        options: dict[str, Any] = {"num_gpus": 1} if node.has_gpu else {"num_cpus": 1}
        # The driver counts the retries of a page: Ray shall repeat no call by itself.
        self._actor: Any = (
            ray.remote(ReaderActor)
            .options(
                **options,
                max_restarts=-1,
                max_task_retries=0,
                max_concurrency=_CALLS_AT_ONCE,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            )
            .remote()
        )

    def start(self, channel: Channel) -> None:
        """Start a reader for the driver's end of a channel."""
        self._channels.put_nowait(channel)

    async def run(self) -> None:
        """Offer the card and have its readers read, as long as the node is there.

        Raises:
            NodeRefused: the node would read otherwise than the driver's machine.
        """
        while self._is_alive(self._node.id):
            try:
                described = await self._actor.describe.remote(self._order.plan)
            except RayError:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            facts = NodeFacts.model_validate_json(described)
            found = problem(self._order.driver, facts, self._node.name, self._order.stack)
            if found is not None:
                ray.kill(self._actor)
                raise NodeRefused(*found)
            self._send(CardOffered(slot=self._number, placement=self._placement(facts)))
            channel = await self._channels.get()
            with contextlib.closing(channel):
                await self._pass_messages(channel)
            # With its process the card becomes free, whatever the engine has left there.
            with contextlib.suppress(RayError):
                await self._actor.leave.remote()

    def _placement(self, facts: NodeFacts) -> CardPlacement:
        if not self._node.has_gpu:
            return CardPlacement(label=self._node.name)
        label = f"{self._node.name} GPU {facts.gpus[0] if facts.gpus else '?'}"
        return CardPlacement(label=label, name=self._node.model)

    async def _pass_messages(self, channel: Channel) -> None:
        """Start a reader, and pass messages on until it or the driver has ended."""
        order = self._order
        try:
            await self._actor.open.remote(order.plan, list(order.command), self._node.slots)
            ways = [
                asyncio.create_task(self._pass_to_reader(channel)),
                asyncio.create_task(self._pass_to_driver(channel)),
            ]
            try:
                done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in done:
                    way.result()
            finally:
                for way in ways:
                    way.cancel()
        except EOFError:
            return  # the driver has no use for this reader any more
        except RayError as error:
            reason = type(error).__name__
            how = f"was lost with its node or its actor ({reason})"
            with contextlib.suppress(EOFError):
                channel.send(ReaderEnded(code=_LOST, how=how, is_lost=True))

    async def _pass_to_reader(self, channel: Channel) -> None:
        while True:
            bodies = await _received(channel)
            await self._actor.send.remote(bodies)

    async def _pass_to_driver(self, channel: Channel) -> None:
        while True:
            bodies, is_over = await self._actor.receive.remote(_POLL_SECONDS)
            for body in bodies:
                channel.send_body(body)
            if is_over:
                return


async def _received(channel: Channel) -> list[bytes]:
    """Wait for messages of a channel, and return all that have come.

    Raises:
        EOFError: the other end is closed.
    """
    await readable(channel)
    bodies: list[bytes] = []
    try:
        while (received := channel.receive_available()) is not None:
            bodies.append(received[0])
    except EOFError:
        if not bodies:
            raise
    return bodies


async def readable(channel: Channel) -> None:
    """Wait until a channel can be read from, or has ended."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    descriptor = channel.fileno()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_reader(descriptor, wake)
    try:
        await future
    finally:
        loop.remove_reader(descriptor)


def warning(refused: NodeRefused) -> ClusterWarning:
    """Return the warning for a node that has joined the cluster and must not read."""
    return ClusterWarning(message=f"{refused.what}: it does not read; {refused.do}")

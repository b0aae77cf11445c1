"""The Ray actor of one card: starts its reader, and passes messages between it and the gateway."""

from __future__ import annotations

import os
import select
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Final

import ray

from dsk.ocr.cluster import node_facts
from dsk.ocr.engines.worker import ReaderEnded
from dsk.ocr.ipc.channel import Channel
from dsk.ocr.schema.engine_config import CardPlacement, Placement
from dsk.ocr.schema.run_plan import RunPlan
from dsk.processes import Child

if TYPE_CHECKING:
    from dsk.ocr.cluster.node_facts import NodeFacts

_READER: Final = "dsk.ocr.cluster.reader"
# Messages that are returned at once.
_MOST_MESSAGES: Final = 256


class ReaderActor:
    """Keeper of one card's reader. Ray starts it anew when its process ends.

    It has one reader in its life: when that ends, the gateway has the actor leave.
    """

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._child: Child | None = None
        self._sending = threading.Lock()

    def describe(self, plan: str) -> str:
        """Return this node's `NodeFacts` for a plan, both as JSON."""
        gpus = [str(number) for number in ray.get_gpu_ids()]
        facts: NodeFacts = node_facts.gather(RunPlan.model_validate_json(plan), gpus)
        return facts.model_dump_json()

    def open(self, plan: str, command: list[str], share: int) -> None:
        """Start the reader.

        Args:
            plan: the plan, as JSON.
            command: starts the engine, without the interpreter.
            share: readers among which the node's cores are divided.

        Raises:
            RuntimeError: it has been started before.
        """
        if self._child is not None:
            what = "this actor has had its reader"
            raise RuntimeError(what)
        placed = _placed(RunPlan.model_validate_json(plan))
        descriptor, file = tempfile.mkstemp(prefix="dsk-plan-", suffix=".json")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(placed.model_dump_json())
        self._channel, theirs = Channel.pair()
        with theirs:
            self._child = Child(
                [
                    *(sys.executable, "-P", "-m", _READER),
                    *(file, str(theirs.fileno()), str(share), *command),
                ],
                stdout=2,
                pass_fds=[theirs.fileno()],
                forward_signals=False,
            )

    def send(self, bodies: list[bytes]) -> None:
        """Pass messages on to the reader; those to one that has ended are dropped."""
        assert self._channel is not None
        with self._sending:
            for body in bodies:
                try:
                    self._channel.send_body(body)
                except EOFError:  # `receive` says so
                    return

    def receive(self, seconds: float) -> tuple[list[bytes], bool]:
        """Wait for messages of the reader.

        Args:
            seconds: the longest to wait.

        Returns:
            The messages, and whether the reader has ended.
        """
        assert self._channel is not None
        bodies: list[bytes] = []
        try:
            while len(bodies) < _MOST_MESSAGES:
                if not select.select([self._channel], [], [], 0 if bodies else seconds)[0]:
                    break
                bodies.append(self._channel.receive()[0])
        except EOFError:
            bodies.append(self._end_of_reader())
            return bodies, True
        return bodies, False

    def leave(self) -> None:
        """End the reader and this process: Ray starts another one, with a card that is free."""
        if self._child is not None:
            self._child.end()
        os._exit(1)

    def _end_of_reader(self) -> bytes:
        """Return the message that the reader has ended, for one that did not say so itself."""
        assert self._child is not None
        code = self._child.exit_code()
        how = f"ended with {self._child.described_end()}" if code is not None else "broke off"
        ended = ReaderEnded(code=code or 1, how=f"was lost: its reader {how}")
        return ended.model_dump_json().encode()


def _placed(plan: RunPlan) -> RunPlan:
    """Return a plan whose one card is that which Ray has given to this process."""
    gpus = [str(number) for number in ray.get_gpu_ids()]
    card = CardPlacement()
    if gpus:
        number = int(gpus[0]) if gpus[0].isdecimal() else None
        card = CardPlacement(device=gpus[0], number=number)
    return plan.model_copy(update={"placement": Placement(cards=(card,))})

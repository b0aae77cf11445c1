"""Engines of a Ray cluster, as the pipeline sees them: cards join, and each is an engine's."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from dsk.errors import KINDS, EngineMissing
from dsk.ocr.cluster.messages import (
    MESSAGES,
    CardOffered,
    ClusterFailed,
    ClusterWarning,
    OpenCluster,
    StartReader,
)
from dsk.ocr.engines.connection import SEND_SECONDS, EngineConnection, EngineDied
from dsk.ocr.ipc.channel import Channel
from dsk.ocr.pipeline.engine_source import CardJoined, SourceWarning
from dsk.processes import Child
from dsk.processes.unkillable import has_ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.schema.engine_config import Placement
    from dsk.ocr.schema.run_plan import RunPlan

# Ray runs in a process of its own: its threads and signal handlers stay out of the pipeline's.
GATEWAY: Final = (sys.executable, "-P", "-m", "dsk.ocr.cluster.gateway")

# Ray reports its use over the network unless it is told not to.
ENVIRONMENT: Final = {"RAY_USAGE_STATS_ENABLED": "0"}

# The gateway asks the readers to end their engines, and leaves the cluster.
_SECONDS_TO_END: Final = 30.0
_CUT_OFF: Final = 1
_AGAIN: Final = (
    "when the cluster is up, run the same command again: it goes on where this one ended"
)


class ReaderConnection(EngineConnection):
    """A connection to an engine on a node, through the gateway."""

    def check_alive(self) -> None:
        """See `EngineConnection.check_alive`: the gateway says when it ends."""

    def ended(self, code: int, how: str) -> EngineDied:
        """See `EngineConnection.ended`."""
        self.channel.close()
        return EngineDied(code, how)

    def end(self) -> None:
        """See `EngineConnection.end`."""
        self.channel.close()

    def _died(self) -> EngineDied:
        self.channel.close()
        return EngineDied(_CUT_OFF, "was cut off from the run", is_lost=True)


class ClusterEngines:
    """Engines of a Ray cluster; see `dsk.ocr.pipeline.engine_source.EngineSource`.

    Args:
        plan: the plan of the run.
        command: the command that starts an engine here; nodes have an interpreter of their own.
    """

    renders = True
    placement: Placement | None = None

    def __init__(self, plan: RunPlan, command: Sequence[str | Path]) -> None:
        self._plan = plan
        self._command = command
        self._control: Channel | None = None
        self._gateway: Child | None = None
        # Slots in the order in which their cards joined the run: nodes are not ready in order.
        self._slots: list[int] = []

    @property
    def channels(self) -> list[Channel]:
        """The gateway's channel, once it is started."""
        return [self._control] if self._control is not None else []

    def open(self) -> None:
        """See `EngineSource.open`."""
        self._control, theirs = Channel.pair(seconds=SEND_SECONDS)
        with theirs:
            self._gateway = Child(
                [*GATEWAY, str(theirs.fileno())],
                environment=dict(os.environ) | ENVIRONMENT,
                stdout=2,
                pass_fds=[theirs.fileno()],
                # Ctrl-C is the pipeline's to handle: the engines finish the pages that they have.
                forward_signals=False,
            )
        seen = self._plan.documents[:1] + self._plan.documents[-1:]
        plan = self._plan.model_copy(
            update={
                "documents": [document.model_copy(update={"pages": []}) for document in seen],
                "rejected": [],
            }
        )
        self._send(OpenCluster(plan=plan, command=tuple(map(str, self._command[1:]))))

    def start(self, number: int, card: int) -> EngineConnection:
        """See `EngineSource.start`."""
        channel, theirs = Channel.pair(seconds=SEND_SECONDS)
        with theirs:
            self._send(StartReader(slot=self._slots[card]), theirs.fileno())
        return ReaderConnection(channel, number, card)

    def poll(self, channels: Sequence[Channel]) -> Iterator[CardJoined | SourceWarning]:
        """See `EngineSource.poll`."""
        if self._control is None or self._control not in channels:
            return
        try:
            received = self._control.receive_available()
        except EOFError:
            raise self._cut_off() from None
        if received is None:
            return
        match MESSAGES.validate_json(received[0]):
            case CardOffered(slot=slot, placement=placement):
                if slot not in self._slots:
                    self._slots.append(slot)
                yield CardJoined(self._slots.index(slot), placement)
            case ClusterWarning(message=message):
                yield SourceWarning(message)
            case ClusterFailed(message=message, do=do, exit_code=code):
                kinds = (kind for kind in KINDS if kind.exit_code == code)
                raise next(kinds, EngineMissing)(message, do=do)

    def close(self) -> None:
        """See `EngineSource.close`."""
        if self._control is not None:
            self._control.close()
        if self._gateway is not None:
            has_ended(self._gateway.process, _SECONDS_TO_END)
            self._gateway.end()

    def _send(self, order: OpenCluster | StartReader, file: int | None = None) -> None:
        assert self._control is not None
        try:
            self._control.send(order, file)
        except EOFError:
            raise self._cut_off() from None

    def _cut_off(self) -> EngineMissing:
        assert self._gateway is not None
        code = self._gateway.exit_code()
        how = f"ended with {self._gateway.described_end()}" if code is not None else "is silent"
        what = f"the connection to the Ray cluster is lost: the process that had it {how}"
        return EngineMissing(what, do=_AGAIN)

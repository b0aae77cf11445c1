"""The process that connects a run to its Ray cluster: finds cards, passes messages.

``python -m dsk.ocr.cluster.gateway FD``: orders of `dsk.ocr.cluster.source` come in over the
inherited channel. When that closes, it leaves the cluster, and Ray ends the actors.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any, Final

import ray

from dsk.errors import EngineMissing, UsageProblem
from dsk.ocr.cluster import node_facts
from dsk.ocr.cluster.messages import (
    ORDERS,
    ClusterFailed,
    ClusterWarning,
    OpenCluster,
    StartReader,
)
from dsk.ocr.cluster.slots import Node, NodeRefused, ReaderOrder, Slot, readable, warning
from dsk.ocr.ipc.channel import Channel

# Seconds between two looks at the nodes of the cluster.
_LOOK_SECONDS: Final = 2.0
# Seconds after which a run without any card says that it waits for one.
_PATIENCE_SECONDS: Final = 60.0


class Gateway:
    """The gateway of one run.

    Args:
        control: the channel of the driver.
        opening: its first order.
    """

    def __init__(self, control: Channel, opening: OpenCluster) -> None:
        self._control = control
        self._has_gpu = opening.plan.engine.device == "cuda"
        self._order = ReaderOrder(
            plan=opening.plan.model_dump_json(),
            command=opening.command,
            driver=node_facts.gather(opening.plan),
            stack=opening.plan.stack,
        )
        self._slots: list[Slot] = []
        self._known: set[str] = set()
        self._alive: frozenset[str] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the driver until its channel closes, or the cluster cannot be used."""
        orders = asyncio.create_task(self._obey())
        looking = asyncio.create_task(self._look_for_nodes())
        done, _ = await asyncio.wait([orders, looking], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _obey(self) -> None:
        """Carry out orders until the driver's channel closes."""
        while True:
            await readable(self._control)
            try:
                received = self._control.receive_available()
            except EOFError:
                return
            if received is None:
                continue
            body, file = received
            order = ORDERS.validate_json(body)
            assert isinstance(order, StartReader)
            assert file is not None
            self._slots[order.slot].start(Channel.inherited(file))

    async def _look_for_nodes(self) -> None:
        """Add the cards of each node that is in the cluster; return if one must not read.

        A node that comes later and must not read is left out.
        """
        loop = asyncio.get_running_loop()
        began, has_warned = loop.time(), False
        while True:
            # A head that does not answer blocks the call, until Ray ends this process.
            listed = await loop.run_in_executor(None, ray.nodes)
            self._alive = frozenset(node["NodeID"] for node in listed if node["Alive"])
            nodes = [_described(node, has_gpu=self._has_gpu) for node in listed if node["Alive"]]
            is_first = not self._known
            for node in nodes:
                if node.id not in self._known:
                    self._known.add(node.id)
                    self._add(node, is_first=is_first)
            if not (self._slots or has_warned) and loop.time() - began > _PATIENCE_SECONDS:
                has_warned = True
                what = "GPU" if self._has_gpu else "CPU"
                message = f"no node of the cluster has a {what} for this run: it waits for one"
                self._send(ClusterWarning(message=message))
            for task in [task for task in self._tasks if task.done()]:
                self._tasks.discard(task)
                if (refused := task.exception()) is not None:
                    raise refused
            await asyncio.sleep(_LOOK_SECONDS)

    def _add(self, node: Node, *, is_first: bool) -> None:
        for _ in range(node.slots):
            slot = Slot(
                len(self._slots), node, self._order, self._send, lambda id_: id_ in self._alive
            )
            self._slots.append(slot)
            self._tasks.add(asyncio.create_task(self._run(slot, is_first=is_first)))

    async def _run(self, slot: Slot, *, is_first: bool) -> None:
        try:
            await slot.run()
        except NodeRefused as refused:
            if is_first:
                raise
            self._send(warning(refused))

    def _send(self, message: Any) -> None:
        with contextlib.suppress(EOFError):  # the driver's end is noticed by `_obey`
            self._control.send(message)


def _described(node: dict[str, Any], *, has_gpu: bool) -> Node:
    """Return a node from Ray's description of it."""
    resources = node["Resources"]
    models = [name.partition(":")[2] for name in resources if name.startswith("accelerator_type:")]
    slots = int(resources.get("GPU", 0)) if has_gpu else min(1, int(resources.get("CPU", 0)))
    host, name = node["NodeManagerHostname"], node.get("NodeName", "")
    # By default a node's name is its address, which says less than that of its host.
    is_named = name and name != node["NodeManagerAddress"]
    return Node(
        id=node["NodeID"],
        name=name if is_named else host,
        slots=slots,
        has_gpu=has_gpu,
        model=models[0] if models else "",
    )


def _connect(address: str) -> None:
    """Connect to a cluster.

    Raises:
        UsageProblem: there is none, or this machine is no node of it.
    """
    if "://" in address:
        what = f"--cluster {address}: Ray's client is not supported"
        raise UsageProblem(what, do="run the command on a node of the cluster, with --cluster auto")
    try:
        ray.init(address=address, namespace="dsk", logging_level="warning")
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = f"--cluster {address}: {str(error).splitlines()[0]}"
        do = "run the command on a node of the cluster: ray start --address=HEAD:6379 makes it one"
        raise UsageProblem(what, do=do) from error


def main() -> None:
    """Connect to the cluster of the driver's order, and serve the driver."""
    # What libraries print belongs to the log.
    os.dup2(2, 1)
    control = Channel.inherited(int(sys.argv[1]))
    try:
        body, _ = control.receive()
        opening = ORDERS.validate_json(body)
        assert isinstance(opening, OpenCluster)
        _connect(opening.plan.cluster)
        # Ray's own handlers would leave the cluster before the engines have finished.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        asyncio.run(Gateway(control, opening).run())
    except EOFError:
        return
    except UsageProblem as error:
        _fail(control, error.what, error.do, UsageProblem.exit_code)
    except NodeRefused as refused:
        _fail(control, refused.what, refused.do, EngineMissing.exit_code)
    ray.shutdown()


def _fail(control: Channel, message: str, do: str, code: int) -> None:
    with contextlib.suppress(EOFError):
        control.send(ClusterFailed(message=message, do=do, exit_code=code))


if __name__ == "__main__":
    main()

"""Ray clusters of several nodes on this machine, with made-up GPUs, and runs over them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from tests.pipeline import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ray.cluster_utils import Cluster

    from dsk.ocr.schema.run_plan import RunPlan

# Ray's own limits are for machines that do nothing else while a node starts.
os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# The least that Ray takes; pages do not pass through it.
_STORE: Final = 80_000_000
_CORES: Final = 2
_START_ATTEMPTS: Final = 3


@contextlib.contextmanager
def cluster(nodes: int, *, gpus: int = 1) -> Iterator[Cluster]:
    """A head without a GPU and nodes with as many as wanted, all on this machine."""
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 0,
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": _STORE,
    }
    started = _patient(lambda: Cluster(initialize_head=True, head_node_args=head))
    try:
        for _ in range(nodes):
            add_node(started, gpus=gpus)
        yield started
    finally:
        started.shutdown()


def add_node(started: Cluster, *, gpus: int = 1) -> Any:
    """Add a node."""
    name = f"node-{time.monotonic_ns()}"
    return _patient(
        lambda: started.add_node(
            num_cpus=_CORES,
            num_gpus=gpus,
            object_store_memory=_STORE,
            include_dashboard=False,
            node_name=name,
        )
    )


def _patient(start: Any) -> Any:
    # Ray gives a node 30 s, which a busy machine may exceed.
    for _ in range(_START_ATTEMPTS - 1):
        with contextlib.suppress(Exception):
            return start()
    return start()


def plan_for(file: Path, out: Path, model: Path, address: str) -> RunPlan:
    """A plan for a cluster's GPUs; for this machine without an address."""
    plan = running.plan_for([file], out, model, mode="tiny", attempts=4, cluster=address)
    if not address:
        return plan
    return plan.model_copy(update={"engine": plan.engine.model_copy(update={"device": "cuda"})})


def processes_of(module: str) -> list[int]:
    """Ids of the processes that run something, by a part of their command lines."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.strip().split(" ", 1) for line in listed.splitlines())
    return [
        int(pid) for pid, arguments in pairs if module in arguments and "ps -ww" not in arguments
    ]


def kill(pids: list[int]) -> None:
    """Kill processes, as far as they are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def outputs(out: Path) -> dict[str, str]:
    """Every output but the manifests, which name the devices, and the ledgers."""
    found = running.outputs(out)
    return {name: digest for name, digest in found.items() if not name.endswith("manifest.json")}


def wait_for_pages(count: int, process: subprocess.Popen[str], folder: Path) -> bool:
    """Wait until a ledger has as many pages; False if the run has ended before."""
    ledger = folder / "pages.jsonl"
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if ledger.read_bytes().count(b"\n") >= count:
                return True
        time.sleep(0.01)
    return False

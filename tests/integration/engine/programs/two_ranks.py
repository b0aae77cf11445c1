"""Two processes on this machine meet in a store and add numbers: torch, with dsk's loopback."""

from __future__ import annotations

import os
import socket
import sys
from datetime import timedelta

from dsk.vllm_plugin import loopback

os.environ.update(loopback.ENVIRONMENT)
loopback.apply()

import torch  # noqa: E402
from torch import distributed, multiprocessing  # noqa: E402
from torch.distributed import TCPStore  # noqa: E402

_PATIENCE = timedelta(seconds=120)


def meet(rank: int, port: int) -> None:
    """Join the group, and print the sum of all ranks' numbers."""
    loopback.apply()  # a started process begins anew
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2, timeout=_PATIENCE
    )
    number = torch.tensor([rank + 1])
    distributed.all_reduce(number)
    again = distributed.new_group([0, 1], backend="gloo")
    distributed.barrier(again)
    # In one write, which print does not promise (PYTHONUNBUFFERED): two processes share the pipe.
    os.write(sys.stdout.fileno(), b"sum %d\n" % int(number))
    if rank == 0:
        # A store of its own, as vLLM's data parallel engines make one, beside the group's.
        TCPStore("127.0.0.1", 0, 1, True, timeout=_PATIENCE).set("key", "value")
    distributed.destroy_process_group()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as trial:
        free = trial.getsockname()[1]
    multiprocessing.spawn(meet, args=(free,), nprocs=2)
    sys.exit(0)

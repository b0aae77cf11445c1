"""A stand-in engine that ends, hangs or lies: PLAN.json FD.

Each engine of a run takes the next of the lines of the file ``END_WAYS``, such as "loading: hangs";
once these are over, engines read pages as `tests.pipeline.stub_engine` does. One that is to end
while it reads answers its first page and ends with its second, unless it ends with the first.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.pipeline.stub_engine import Stub

from dsk.ocr.engines import worker
from dsk.ocr.ipc.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.models.base import Views
    from dsk.ocr.engines.base import PageRequest

DESCRIPTOR: Final = int(sys.argv[2])
ANSWER: Final = {"what": "read", "number": 1, "text": "", "finish_reason": "stop"}
ANSWER_TOKENS: Final = {"tokens": 1, "prompt_tokens": 1}


def sleep() -> None:
    time.sleep(600)


def fail() -> None:
    msg = "CUDA error: an illegal memory access was encountered"
    raise RuntimeError(msg)


def kill(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def leave_a_child() -> None:
    """End while a forked process holds all that was open, the channel too."""
    if os.fork() == 0:
        sleep()
    os._exit(3)


def close_and_go_on() -> None:
    os.close(DESCRIPTOR)
    sleep()


def hang() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep()


def flood() -> None:
    for _ in range(500):
        os.write(2, os.urandom(50_000) + b"\n")
    os.kill(os.getpid(), signal.SIGSEGV)


def send(data: bytes, *, then: Callable[[], None] = sleep) -> Callable[[], None]:
    def act() -> None:
        with socket.socket(fileno=os.dup(DESCRIPTOR)) as connection:
            connection.sendall(data)
            then()

    return act


def message(**content: Any) -> bytes:
    body = json.dumps(content).encode()
    return struct.pack("!I", len(body)) + body


WAYS: Final[dict[str, Callable[[], object]]] = {
    "hangs": hang,
    "stops": kill(signal.SIGSTOP),
    "raises": fail,
    "exits with 0": lambda: os._exit(0),
    "exits with 3": lambda: os._exit(3),
    "SIGSEGV": kill(signal.SIGSEGV),
    "SIGBUS": kill(signal.SIGBUS),
    "SIGKILL": kill(signal.SIGKILL),
    "leaves a child": leave_a_child,
    "closes": close_and_go_on,
    "writes to a frozen disk": lambda: Path(os.environ["END_FROZEN"], "file").write_text(""),
    "floods its log": flood,
    "sends bytes": send(os.urandom(4096)),
    "sends a length of 4 GB": send(b"\xff\xff\xff\xff"),
    "sends no JSON": send(struct.pack("!I", 5) + b"{[}]\xff"),
    "sends something unknown": send(message(what="pwned", number=1)),
    "sends odd types": send(message(**ANSWER | {"tokens": "lots", "prompt_tokens": None})),
    "sends huge numbers": send(message(**ANSWER, tokens=10**400, prompt_tokens=1)),
    "sends deep JSON": send(struct.pack("!I", 200_000) + b"[" * 200_000),
    "sends half a message": send(message(**ANSWER, **ANSWER_TOKENS)[:40]),
    "takes no page": send(message(what="ready", settings={}, device="x", capacity=0)),
    "reads other pages": send(
        message(**ANSWER | {"number": 10**9}, **ANSWER_TOKENS) * 3,
        then=lambda: os.kill(os.getpid(), signal.SIGSEGV),
    ),
}


class EndingStub(Stub):
    capacity = 1

    def __init__(self, act: Callable[[], object], reads: int) -> None:
        super().__init__()
        self._act = act
        self._reads = reads

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        if self._reads == 0:
            self._act()
        self._reads -= 1
        super().add(number, page, request)


def next_way() -> tuple[str, str]:
    """Take the first line that no other engine has taken: when it is to end, and how."""
    for number, line in enumerate(Path(os.environ["END_WAYS"]).read_text().splitlines()):
        with contextlib.suppress(FileExistsError):
            Path(f"{os.environ['END_WAYS']}-{number}").mkdir()
            when, _, way = line.partition(": ")
            return when, way
    return "", ""


def main() -> None:
    when, way = next_way()
    if when == "loading":
        WAYS[way]()
    channel = Channel.inherited(DESCRIPTOR)
    channel.send(worker.EngineReady(settings={}, device="stub", capacity=1))
    reads = {"first page": 0, "reading": 1}
    worker.serve(channel, EndingStub(WAYS[way], reads[when]) if when in reads else Stub())


if __name__ == "__main__":
    main()

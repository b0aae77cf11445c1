"""The pipeline's handle on an engine's process: start it, send pages, receive answers, end it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from dsk.errors import KINDS, EngineMissing
from dsk.ocr.engines.worker import (
    MESSAGES,
    DropPage,
    EngineReady,
    PageRead,
    PageTaken,
    ReadPage,
    StartFailed,
)
from dsk.ocr.ipc.channel import Channel
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.ipc.payload import Payload

COMMAND: Final = (sys.executable, "-m", "dsk.ocr.engines.worker")

_SECONDS_TO_END: Final = 10
# Maximum of pages sent and not yet taken by the engine: one is always there for it, and the
# socket's buffer holds them all, so that sending never blocks the loop.
_MAX_UNACKNOWLEDGED: Final = 16


class EngineDied(Exception):
    """The engine's process has ended; ``code`` is its exit code, 128 + n for signal n."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the engine ended with status {code}")
        self.code = code


class EngineHandle:
    """A running engine. A context manager: leaving it ends the engine and all that it started.

    Args:
        command: the program; the plan's file and a descriptor follow as arguments.
        plan: the plan's file.
    """

    def __init__(self, command: Sequence[str | Path], plan: Path) -> None:
        self.channel, theirs = Channel.pair()
        with theirs:
            self._child = Child(
                [*command, plan, str(theirs.fileno())],
                stdout=2,
                pass_fds=[theirs.fileno()],
                # Ctrl-C is the pipeline's to handle: the engine finishes the pages that it has.
                forward_signals=False,
            )
        self.ready: EngineReady | None = None
        self.last_message_at = time.monotonic()
        self.inside: set[int] = set()
        """Numbers of the pages that the engine has."""
        self._unacknowledged: set[int] = set()

    @property
    def takes(self) -> bool:
        """True if another page may be sent."""
        return (
            self.ready is not None
            and len(self._unacknowledged) < _MAX_UNACKNOWLEDGED
            and len(self.inside) < self.ready.capacity
        )

    def send(self, number: int, payload: Payload, request: PageRequest, file: int) -> None:
        """Send a page and close its file.

        Raises:
            EngineDied: the engine's process has ended.
        """
        self._unacknowledged.add(number)
        self.inside.add(number)
        try:
            self.channel.send(ReadPage(number=number, payload=payload, request=request), file)
        except EOFError:
            raise self._died() from None
        finally:
            os.close(file)

    def drop(self, number: int) -> None:
        """Tell the engine to forget a page.

        Raises:
            EngineDied: the engine's process has ended.
        """
        self.inside.discard(number)
        self._unacknowledged.discard(number)
        try:
            self.channel.send(DropPage(number=number))
        except EOFError:
            raise self._died() from None

    def receive(self) -> PageRead | None:
        """Receive one message of the engine; return it if it is a page's answer.

        Raises:
            EngineDied: the engine's process has ended.
            DskError: the engine cannot be started, for the reason that it gives.
        """
        try:
            body, _ = self.channel.receive()
        except EOFError:
            raise self._died() from None
        self.last_message_at = time.monotonic()
        message = MESSAGES.validate_json(body)
        match message:
            case EngineReady():
                self.ready = message
            case PageTaken():
                self._unacknowledged.discard(message.number)
            case PageRead():
                if message.number not in self.inside:  # dropped while its answer was on the way
                    return None
                self.inside.discard(message.number)
                self._unacknowledged.discard(message.number)
                return message
            case StartFailed():
                kinds = (kind for kind in KINDS if kind.exit_code == message.exit_code)
                raise next(kinds, EngineMissing)(message.message, do=message.do)
        return None

    def end(self) -> None:
        """End the engine; one that has loaded gets a moment to end by itself."""
        self.channel.close()
        if self.ready is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.process.wait(timeout=_SECONDS_TO_END)
        self._child.end()

    def _died(self) -> EngineDied:
        self.channel.close()
        # What it leaves running, which holds the card's memory, is ended with it.
        self._child.end()
        code = self._child.process.returncode
        return EngineDied(128 - code if code < 0 else code)

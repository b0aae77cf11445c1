"""The pipeline's end of the engine: it is started, fed, watched and ended here."""

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
_ON_THE_WAY: Final = 16
"""Pages sent and not yet taken: enough that one is always there, and none of them holds us up."""


class EngineDied(Exception):
    """The engine's process has ended; ``code`` is its exit code, 128 + n for signal n."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the engine ended with status {code}")
        self.code = code


class EngineHandle:
    """A running engine. A context manager: leaving it ends the engine and all that it started.

    Args:
        command: what to start; the job's file and a descriptor follow.
        job: the job's file.
    """

    def __init__(self, command: Sequence[str | Path], plan: Path) -> None:
        self.channel, theirs = Channel.pair()
        with theirs:
            self._child = Child(
                [*command, plan, str(theirs.fileno())],
                stdout=2,
                pass_fds=[theirs.fileno()],
                forward_signals=False,
            )
        self.ready: EngineReady | None = None
        self.heard_at = time.monotonic()
        self.inside: set[int] = set()
        """The pages that it has, by their numbers."""
        self._on_the_way: set[int] = set()

    @property
    def takes(self) -> bool:
        """Whether another page may be sent."""
        return (
            self.ready is not None
            and len(self._on_the_way) < _ON_THE_WAY
            and len(self.inside) < self.ready.capacity
        )

    def send(self, number: int, payload: Payload, request: PageRequest, file: int) -> None:
        """Send a page; its file is closed.

        Raises:
            EngineDied: the engine has.
        """
        self._on_the_way.add(number)
        self.inside.add(number)
        try:
            self.channel.send(ReadPage(number=number, payload=payload, request=request), file)
        except EOFError:
            raise self._died() from None
        finally:
            os.close(file)

    def drop(self, number: int) -> None:
        """Let the engine forget a page.

        Raises:
            EngineDied: the engine has.
        """
        self.inside.discard(number)
        self._on_the_way.discard(number)
        try:
            self.channel.send(DropPage(number=number))
        except EOFError:
            raise self._died() from None

    def receive(self) -> PageRead | None:
        """Take in what the engine says; a page's answer is returned.

        Raises:
            EngineDied: the engine has.
            DskError: it cannot be started, and says why.
        """
        try:
            body, _ = self.channel.receive()
        except EOFError:
            raise self._died() from None
        self.heard_at = time.monotonic()
        said = MESSAGES.validate_json(body)
        match said:
            case EngineReady():
                self.ready = said
            case PageTaken():
                self._on_the_way.discard(said.number)
            case PageRead():
                if said.number not in self.inside:  # dropped while its answer was on the way
                    return None
                self.inside.discard(said.number)
                self._on_the_way.discard(said.number)
                return said
            case StartFailed():
                kinds = (kind for kind in KINDS if kind.exit_code == said.exit_code)
                raise next(kinds, EngineMissing)(said.message, do=said.do)
        return None

    def end(self) -> None:
        """End the engine, in good order if it can: one that still loads does not listen."""
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

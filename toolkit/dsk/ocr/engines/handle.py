"""The pipeline's handle on an engine's process: start it, send pages, receive answers, end it."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from dsk.errors import KINDS, EngineMissing
from dsk.ocr.engines.worker import (
    MESSAGES,
    DropPage,
    EngineNotice,
    EngineReady,
    PageRead,
    PageTaken,
    ReadPage,
    StartFailed,
)
from dsk.ocr.ipc.channel import BrokenMessage, Channel
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.engines.worker import EngineMessage
    from dsk.ocr.ipc.payload import Payload

COMMAND: Final = (sys.executable, "-P", "-m", "dsk.ocr.engines.worker")

_SECONDS_TO_END: Final = 10
# Maximum of pages sent and not yet taken by the engine: one is always there for it, and the
# socket's buffer holds them all, so that sending never blocks the loop.
_MAX_UNACKNOWLEDGED: Final = 16
# Seconds for which a full socket is waited for: a stopped engine must not stop the loop.
_SEND_SECONDS: Final = 10.0


# Statuses of an engine that was ended: as timeout(1) has it, and EX_PROTOCOL of sysexits.h.
TIMEOUT_STATUS: Final = 124
_PROTOCOL_STATUS: Final = 76


class EngineDied(Exception):
    """End of an engine's process before its time.

    Args:
        code: its exit code, 128 + n for signal n.
        how: the end in words, to follow "the engine".
    """

    def __init__(self, code: int, how: str = "") -> None:
        self.code = code
        self.how = how or f"ended with status {code}"
        super().__init__(f"the engine {self.how}")


class EngineHandle:
    """A running engine. A context manager: leaving it ends the engine and all that it started.

    Args:
        command: the program; the plan's file, a descriptor and the card's position follow as
            arguments.
        plan: the plan's file.
        number: its number among the engines of the run, from 1.
        card: the position of its card in the plan's placement.
        environment: variables to add to its environment.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        plan: Path,
        number: int,
        card: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.number = number
        self.card = card
        self.started_at = time.monotonic()
        self.channel, theirs = Channel.pair(seconds=_SEND_SECONDS)
        with theirs:
            self._child = Child(
                [*command, plan, str(theirs.fileno()), str(card)],
                environment=dict(os.environ) | dict(environment) if environment else None,
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

    def receive(self) -> PageRead | EngineNotice | None:
        """Receive one message of the engine; return a page's answer, and what the user should know.

        Raises:
            EngineDied: the engine's process has ended.
            DskError: the engine cannot be started, for the reason that it gives.
        """
        try:
            message = self._message()
        except (BrokenMessage, ValidationError):
            raise self.ended(_PROTOCOL_STATUS, "sent a broken message: it was ended") from None
        except EOFError:
            raise self._died() from None
        if message is None:
            return None
        self.last_message_at = time.monotonic()
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
            case EngineNotice():
                return message
            case StartFailed():
                kinds = (kind for kind in KINDS if kind.exit_code == message.exit_code)
                raise next(kinds, EngineMissing)(message.message, do=message.do)
        return None

    def check_alive(self) -> None:
        """Notice an engine that has ended although something it started holds its channel open.

        Raises:
            EngineDied: it has ended.
        """
        if self._child.process.poll() is None:
            return
        # What it sent before its end is received first.
        if not select.select([self.channel], [], [], 0)[0]:
            raise self._died()

    def ended(self, code: int, how: str) -> EngineDied:
        """End the engine; return the error for an engine that was ended, for the reason given."""
        self.channel.close()
        self._child.end()
        return EngineDied(code, how)

    @property
    def unkillable(self) -> tuple[int, ...]:
        """Process ids of what was left when it was ended."""
        return self._child.unkillable

    def end(self) -> None:
        """End the engine; one that has loaded gets a moment to end by itself."""
        self.channel.close()
        if self.ready is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.process.wait(timeout=_SECONDS_TO_END)
        self._child.end()

    def _message(self) -> EngineMessage | None:
        received = self.channel.receive_available()
        if received is None:
            return None
        body, file = received
        if file is not None:
            os.close(file)
        return MESSAGES.validate_json(body)

    def _died(self) -> EngineDied:
        code = self._child.exit_code()
        if code is None:
            return self.ended(TIMEOUT_STATUS, "closed its connection and went on: it was ended")
        how = f"ended with {self._child.described_end()}"
        # What it leaves running, which holds the card's memory, is ended with it.
        return self.ended(code, how if self.ready else f"{how} while it loaded")

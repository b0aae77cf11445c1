"""A connection to an engine: pages go out, answers come back, wherever the engine runs."""

from __future__ import annotations

import abc
import os
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
    PageRendered,
    PageTaken,
    ReaderEnded,
    ReadPage,
    RenderPage,
    StartFailed,
)
from dsk.ocr.ipc.channel import BrokenMessage

if TYPE_CHECKING:
    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.engines.worker import EngineMessage
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.ipc.payload import Payload
    from dsk.ocr.schema.page_record import PagePart
    from dsk.ocr.schema.run_plan import Document

# Maximum of pages sent and not yet taken by the engine: one is always there for it, and the
# socket's buffer holds them all, so that sending never blocks the loop.
_MAX_UNACKNOWLEDGED: Final = 16
SEND_SECONDS: Final = 10.0
"""Seconds for which a full socket is waited for: a stopped engine must not stop the loop."""

# EX_PROTOCOL of sysexits.h.
_PROTOCOL_STATUS: Final = 76


class EngineDied(Exception):
    """End of an engine's process before its time.

    Args:
        code: its exit code, 128 + n for signal n.
        how: the end in words, to follow "the engine".
        is_lost: True if its machine is gone, or the way to it, and the engine is not the cause.
    """

    def __init__(self, code: int, how: str = "", *, is_lost: bool = False) -> None:
        self.code = code
        self.how = how or f"ended with status {code}"
        self.is_lost = is_lost
        super().__init__(f"the engine {self.how}")


class EngineConnection(abc.ABC):
    """A connection to a running engine.

    Args:
        channel: the way to it.
        number: its number among the engines of the run, from 1.
        card: the position of its card among those of the run.
    """

    def __init__(self, channel: Channel, number: int, card: int) -> None:
        self.number = number
        self.card = card
        self.started_at = time.monotonic()
        self.channel = channel
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
        """Send a rendered page and close its file.

        Raises:
            EngineDied: the engine's process has ended.
        """
        try:
            self._send_page(ReadPage(number=number, payload=payload, request=request), file)
        finally:
            os.close(file)

    def send_unrendered(
        self,
        number: int,
        document: Document,
        page: int,
        part: PagePart,
        mode: str,
        request: PageRequest,
    ) -> None:
        """Send a page by its number to an engine that renders it; see `RenderPage`.

        Raises:
            EngineDied: the engine's process has ended.
        """
        self._send_page(
            RenderPage(
                number=number,
                document=document,
                page=page,
                part=part,
                mode=mode,
                request=request,
            )
        )

    def drop(self, number: int) -> None:
        """Tell the engine to forget a page.

        Raises:
            EngineDied: the engine's process has ended.
        """
        self._forget(number)
        try:
            self.channel.send(DropPage(number=number))
        except EOFError:
            raise self._died() from None

    def receive(self) -> PageRead | PageRendered | EngineNotice | None:
        """Receive one message of the engine; return what it tells of a page, or the user.

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
            case PageRead() | PageRendered():
                if message.number not in self.inside:  # dropped while its answer was on the way
                    return None
                if isinstance(message, PageRead) or message.status is not None:
                    self._forget(message.number)
                return message
            case EngineNotice():
                return message
            case StartFailed():
                kinds = (kind for kind in KINDS if kind.exit_code == message.exit_code)
                raise next(kinds, EngineMissing)(message.message, do=message.do)
            case ReaderEnded():
                self.end()
                raise EngineDied(message.code, message.how, is_lost=message.is_lost)
        return None

    @property
    def unkillable(self) -> tuple[int, ...]:
        """Process ids of what was left when it was ended."""
        return ()

    @abc.abstractmethod
    def check_alive(self) -> None:
        """Notice an engine that has ended although something it started holds its channel open.

        Raises:
            EngineDied: it has ended.
        """

    @abc.abstractmethod
    def ended(self, code: int, how: str) -> EngineDied:
        """End the engine; return the error for an engine that was ended, for the reason given."""

    @abc.abstractmethod
    def end(self) -> None:
        """End the engine; one that has loaded gets a moment to end by itself."""

    @abc.abstractmethod
    def _died(self) -> EngineDied:
        """Return the error for an engine whose connection has ended."""

    def _send_page(self, message: ReadPage | RenderPage, file: int | None = None) -> None:
        self._unacknowledged.add(message.number)
        self.inside.add(message.number)
        try:
            self.channel.send(message, file)
        except EOFError:
            raise self._died() from None

    def _forget(self, number: int) -> None:
        self.inside.discard(number)
        self._unacknowledged.discard(number)

    def _message(self) -> EngineMessage | None:
        received = self.channel.receive_available()
        if received is None:
            return None
        body, file = received
        if file is not None:
            os.close(file)
        return MESSAGES.validate_json(body)

"""The body of a request: read within limits of size and time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from dsk.vllm_plugin.gate.access import Headers, values_of
from dsk.vllm_plugin.gate.refusal import ClientGone, Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dsk.vllm_plugin.gate.budget import Share

    Receive = Callable[[], Awaitable[dict[str, Any]]]

# Seconds between two pieces of a body, and for all of it: 64 MiB at 2 Mbit/s take 270.
PIECE_SECONDS: Final = 30.0
BODY_SECONDS: Final = 300.0
# Bytes of a body's share before anything has arrived, which is what uvicorn reads ahead, and by
# which it grows.
FIRST: Final = 64 << 10
STEP: Final = 1 << 20
# Seconds for the rest of a body whose request is refused.
DRAIN_SECONDS: Final = 10.0


class Incoming:
    """The body of one request.

    Args:
        receive: ASGI's.
        headers: the request's.
        limit: the most bytes of the body.
    """

    def __init__(self, receive: Receive, headers: Headers, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._read = 0
        self._headers = headers
        self.complete = False
        self.gone = False

    def check_length(self) -> None:
        """Check the size that the request announces; one in chunks announces none.

        Raises:
            Refusal: it is too large, or no number.
        """
        values = list(values_of(self._headers, b"content-length"))
        if not values:
            return
        # The HTTP parser in front allows nothing else; another one might be laxer.
        if len(values) > 1 or not values[0].isdigit() or len(values[0]) > 18:
            raise Refusal(400, "the Content-Length header is not one number")
        if int(values[0]) > self._limit:
            raise self._too_large()

    async def read(self, share: Share) -> bytes:
        """Return the whole body.

        Args:
            share: of the bytes that all bodies may have. It grows with what arrives: many that
                announce much and send nothing keep nobody out.

        Raises:
            Refusal: it is too large, or comes too slowly.
            ClientGone: the client closed the connection.
        """
        pieces = []
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while not self.complete:
                    pieces.append(await self._next(PIECE_SECONDS))
                    if self._read > self._limit:
                        raise self._too_large()
                    await share.grow(STEP * -(-self._read // STEP))
        except TimeoutError:
            raise Refusal(408, "the request's body came too slowly") from None
        return b"".join(pieces)

    async def drain(self) -> None:
        """Read what is left of a refused body, as far as the limits allow.

        A client reads no answer while it sends, and loses it if the connection is closed meanwhile.
        """
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.complete and self._read <= 2 * self._limit:
                    await self._next(DRAIN_SECONDS)
        except (TimeoutError, ClientGone):
            return

    async def wait_for_disconnect(self) -> dict[str, Any]:
        """Return ASGI's message for a client that closed the connection."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return message

    async def _next(self, seconds: float) -> bytes:
        async with asyncio.timeout(seconds):
            message = await self._receive()
        if message["type"] != "http.request":
            self.gone = True
            raise ClientGone
        self.complete = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        self._read += len(piece)
        return piece

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request's body is larger than {self._limit} bytes")

"""Connections of the gate's server: limits of their number, of headers, and of slow clients."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

# h11's own limit, where no option of vLLM names another one.
HEADER_BYTES: Final = 16 << 10
# Seconds until a connection must have sent the headers of a request, counted from its start or
# from the end of the answer before.
HEADER_SECONDS: Final = 20.0
# Seconds in which a client must take what is left of 64 KiB of its answer, down to 16 KiB.
READ_SECONDS: Final = 60.0
# At a time, and at most half of the files that the process may open: vLLM needs some itself.
MOST_CONNECTIONS: Final = 4096
# Of a body in chunks, beside one for each 256 bytes. h11 takes 8 us for each: chunks of a byte,
# on a hundred connections, kept the event loop from everything else for half a minute.
MOST_CHUNKS: Final = 4096
_BYTES_OF_A_CHUNK: Final = 256


class LimitedConnection(h11.Connection):
    """A parser that refuses bodies in too many small chunks, and those of two lengths."""

    _chunks = 0
    _bytes = 0

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """See `h11.Connection`."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
            names = [name for name, _ in event.headers]
            # A proxy in front that goes by the other one sees a second request in the body.
            is_unclear = b"content-length" in names or event.http_version < b"1.1"
            if b"transfer-encoding" in names and is_unclear:
                message = "chunks beside a length, or in HTTP/1.0"
                raise h11.RemoteProtocolError(message)
        elif isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > MOST_CHUNKS + self._bytes // _BYTES_OF_A_CHUNK:
                message = "too many small chunks"
                raise h11.RemoteProtocolError(message)
        return event


class LimitedH11Protocol(H11Protocol):
    """A connection that is closed if it sends no request, or does not read its answer.

    uvicorn's first choice, httptools, takes headers without end (0.7.1), and uvicorn waits for them
    without end. h11 stops at 16 KiB, or what ``--h11-max-incomplete-event-size`` says.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = LimitedConnection(
            h11.SERVER, self.config.h11_max_incomplete_event_size or HEADER_BYTES
        )
        self._made = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the time for the first request."""
        super().connection_made(transport)
        self._start_timer()
        if len(self.connections) > most_connections():
            # Whoever holds connections open that ask for nothing keeps nobody else out.
            idle = [other for other in self._others if not other._is_answering]  # noqa: SLF001
            oldest = min(idle, key=lambda other: other._made, default=self)  # noqa: SLF001
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self._stop_read_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the time for the client to read."""
        super().pause_writing()
        self._stop_read_timer()
        self._read_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the time for the client to read."""
        self._stop_read_timer()
        super().resume_writing()

    def handle_events(self) -> None:
        """Handle what has arrived, and stop the time once a request has."""
        try:
            super().handle_events()
        except h11.LocalProtocolError:
            # uvicorn answers what it cannot parse, also in a body whose request has its answer.
            self.transport.abort()
        if self._is_answering:
            self._stop_timer()

    def on_response_complete(self) -> None:
        """Start the time for the next request."""
        self._start_timer()
        super().on_response_complete()

    def _should_upgrade(self) -> bool:
        # No route is a websocket's: the library that parses them stays out of reach.
        return False

    @property
    def _others(self) -> list[LimitedH11Protocol]:
        known = [each for each in self.connections if isinstance(each, LimitedH11Protocol)]
        return [each for each in known if each is not self and not each.transport.is_closing()]

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _close(self) -> None:
        # Not close(), as uvicorn does: it waits without end for a client to read the last answer.
        if not self._is_answering:
            self.transport.abort()


def most_connections() -> int:
    """Return the most connections at a time: one more ends the oldest that asks for nothing."""
    # Looked up each time: vLLM raises the limit as it starts.
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(files // 2, MOST_CONNECTIONS)
    )


def install() -> None:
    """Let the uvicorn of this process use this protocol where its caller names none."""
    config = sys.modules["uvicorn.config"]
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{LimitedH11Protocol.__name__}"

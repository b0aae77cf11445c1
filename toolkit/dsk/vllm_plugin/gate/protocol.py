"""HTTP parsing of the gate's server: limits of headers, in bytes and in seconds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

# Seconds until a connection must have sent the headers of a request, counted from its start or
# from the end of the answer before.
HEADER_SECONDS: Final = 20.0


class LimitedH11Protocol(H11Protocol):
    """A connection that is closed if it sends no request.

    uvicorn's first choice, httptools, takes headers without end (0.7.1), and uvicorn waits for them
    without end. h11 stops at 16 KiB, or what ``--h11-max-incomplete-event-size`` says.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the time for the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Handle what has arrived, and stop the time once a request has."""
        super().handle_events()
        if self._is_answering:
            self._stop_timer()

    def on_response_complete(self) -> None:
        """Start the time for the next request."""
        self._start_timer()
        super().on_response_complete()

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

    def _close(self) -> None:
        if not self._is_answering:
            self.transport.close()


def install() -> None:
    """Let the uvicorn of this process use this protocol where its caller names none."""
    config = sys.modules["uvicorn.config"]
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{LimitedH11Protocol.__name__}"

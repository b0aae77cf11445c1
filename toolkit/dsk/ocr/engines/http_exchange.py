"""HTTP exchanges with a server that is not trusted: bounded in bytes and in time.

Each exchange has a connection of its own, so that nothing of one answer is taken for another.
Redirects are never followed: the key, and the page, go to the named server alone.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

# The transport below httpx, which itself can neither limit the time of a whole exchange nor the
# bytes of its headers and its interim answers.
import httpcore

from dsk import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

CONNECT_SECONDS: Final = 10.0
# Bytes and seconds for the text of an error, of which 300 characters are shown.
_ERROR_BYTES: Final = 1 << 16
_ERROR_SECONDS: Final = 10.0
# Bytes before the body: headers, of which httpcore itself takes up to 100 KiB, and interim answers.
_HEADER_BYTES: Final = 1 << 18
# Pieces of a body: 2 MiB in pieces of 100 bytes. Each takes a while to parse, however short.
_MOST_PIECES: Final = 20_000
# Bytes of a request that are sent at once: the time that is left is looked at in between.
_SLICE: Final = 1 << 16
# A host that is gone is noticed by TCP, also while a page waits its turn for an hour.
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),  # milliseconds
)
_FIRST_ERROR_STATUS: Final = 400


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """An answer of a server; the body of an error may be cut off.

    Args:
        status: the HTTP status, 200 to 599.
        headers: by their names in lower case; of several of one name the last one.
        body: not compressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """True if the server did what was asked."""
        return 200 <= self.status < 300


class ExchangeFailed(Exception):
    """Failure of an exchange, with a reason that a person can read."""


class ServerUnreachable(ExchangeFailed):
    """A connection that could not be made: the server has seen nothing of the request."""


class ExchangeTooLong(ExchangeFailed):
    """An exchange that was not over in time."""


class AnswerTooLarge(ExchangeFailed):
    """An answer of more bytes than were allowed."""


class AnswerCompressed(ExchangeFailed):
    """A compressed answer, which was not asked for and may be of any size."""


def exchange(
    url: httpcore.URL,
    *,
    method: str,
    headers: Mapping[str, str],
    content: bytes | None = None,
    seconds: float,
    max_bytes: int,
    ssl_context: ssl.SSLContext | None,
) -> HttpAnswer:
    """Send a request and return the answer.

    Args:
        url: with http or https.
        method: GET or POST.
        headers: those of the request; the length and the host are added.
        content: the body, if the method has one.
        seconds: for the whole exchange.
        max_bytes: of the answer's body.
        ssl_context: for https.

    Raises:
        ExchangeFailed: there was no answer, or it was larger or later than allowed.
    """
    limits = _ExchangeLimits(deadline=time.monotonic() + seconds)
    sent = {
        "User-Agent": f"dsk/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    connection = httpcore.HTTPConnection(
        origin=url.origin,
        ssl_context=ssl_context,
        network_backend=_BoundedBackend(limits),
        socket_options=_KEEPALIVE,
    )
    try:
        with (
            connection,
            connection.stream(method, url, headers=list(sent.items()), content=content) as response,
        ):
            return _received(response, limits, max_bytes)
    except (httpcore.ConnectError, httpcore.ConnectTimeout, UnicodeError) as error:
        raise ServerUnreachable(_reason(error)) from error
    except httpcore.TimeoutException as error:
        what = f"the answer was not complete after {seconds:.3g} s"
        raise ExchangeTooLong(what) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise ExchangeFailed(_reason(error)) from error


def _received(response: httpcore.Response, limits: _ExchangeLimits, max_bytes: int) -> HttpAnswer:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        what = f"the answer is compressed ({encoding[:20]}), which was not asked for"
        raise AnswerCompressed(what)
    is_error = response.status >= _FIRST_ERROR_STATUS
    if is_error:
        limits.deadline = min(limits.deadline, time.monotonic() + _ERROR_SECONDS)
    limits.bytes_left += 2 * max_bytes  # sizes of chunks included
    body = bytearray()
    try:
        for number, piece in enumerate(response.iter_stream()):
            body += piece
            if is_error and len(body) > _ERROR_BYTES:
                break
            if len(body) > max_bytes or number > _MOST_PIECES:
                what = f"the answer has more than {max_bytes} bytes"
                if number > _MOST_PIECES:
                    what = f"the answer comes in more than {_MOST_PIECES} pieces"
                raise AnswerTooLarge(what)
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        # What an error says is worth less than its status, which is here already.
        if not is_error:
            raise
    return HttpAnswer(
        status=response.status, headers=headers, body=bytes(body[: max(max_bytes, _ERROR_BYTES)])
    )


@dataclass(kw_only=True)
class _ExchangeLimits:
    """The time that ends an exchange, and the bytes that it may still receive."""

    deadline: float
    bytes_left: int = _HEADER_BYTES

    def remaining(self, most: float | None = None) -> float:
        """Return the seconds that are left.

        Raises:
            httpcore.ReadTimeout: none are left.
        """
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout
        return seconds if most is None else min(seconds, most)

    def count(self, received: int) -> None:
        """Count received bytes.

        Raises:
            AnswerTooLarge: there were more than allowed.
        """
        self.bytes_left -= received
        if self.bytes_left < 0:
            what = "the answer does not end: its headers or interim answers are too many"
            raise AnswerTooLarge(what)


class _BoundedBackend(httpcore.SyncBackend):
    """Connects within the limits of one exchange."""

    def __init__(self, limits: _ExchangeLimits) -> None:
        self._limits = limits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the exchange has one of its own
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """See `httpcore.NetworkBackend`."""
        seconds = self._limits.remaining(CONNECT_SECONDS)
        stream = super().connect_tcp(host, port, seconds, local_address, socket_options)
        return _BoundedStream(stream, self._limits)


class _BoundedStream(httpcore.NetworkStream):
    """A connection whose every operation keeps the limits of its exchange.

    The timeouts that httpcore hands on are for one operation each, and a server that sends a byte
    in each of them would never exceed one.
    """

    def __init__(self, stream: httpcore.NetworkStream, limits: _ExchangeLimits) -> None:
        self._stream = stream
        self._limits = limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """See `httpcore.NetworkStream`."""
        received = self._stream.read(max_bytes, self._limits.remaining())
        self._limits.count(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """See `httpcore.NetworkStream`."""
        for start in range(0, len(buffer), _SLICE):
            self._stream.write(buffer[start : start + _SLICE], self._limits.remaining())

    def close(self) -> None:
        """See `httpcore.NetworkStream`."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """See `httpcore.NetworkStream`."""
        seconds = self._limits.remaining(CONNECT_SECONDS)
        encrypted = self._stream.start_tls(ssl_context, server_hostname, seconds)
        return _BoundedStream(encrypted, self._limits)

    def get_extra_info(self, info: str) -> Any:
        """See `httpcore.NetworkStream`."""
        return self._stream.get_extra_info(info)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

"""Connections: headers of a limited size, within a limited time, on a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.vllm_plugin.gate.requests_to_gate import Application, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import uvicorn

    from dsk.vllm_plugin.gate.middleware import Gate

HEADERS = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CLOSING = HEADERS + b"Connection: close\r\n\r\n"


@pytest.fixture
def port(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with _server(site(Application(pieces=(b"{}",))).gate, monkeypatch) as (number, _):
        yield number


@contextlib.contextmanager
def _server(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> Iterator[tuple[int, uvicorn.Server]]:
    """A server as vLLM makes it: uvicorn, of which nobody says how it is to parse."""
    import uvicorn
    import uvicorn.config

    from dsk.vllm_plugin.gate import protocol

    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "READ_SECONDS", 0.5)
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    protocol.install()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            gate, lifespan="off", log_level="critical", timeout_keep_alive=5, **settings
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1], server
        server.should_exit = True
        thread.join()


def answer(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """The server's words, and the seconds that the connection lasted."""
    start, said = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                said += data
    return said, time.monotonic() - start


def statuses(said: bytes) -> list[bytes]:
    return [line.split()[1] for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def test_requests_are_answered_one_after_the_other(port: int) -> None:
    said, seconds = answer(port, HEADERS + b"\r\n", HEADERS + b"\r\n")
    assert statuses(said) == [b"200", b"200"]
    # Closed for its silence, not kept until vLLM's five seconds are over.
    assert 0.4 < seconds < 4


@pytest.mark.parametrize("pieces", [(), (b"GET /hea",), (HEADERS, b"X: 1\r\n")])
def test_a_connection_without_a_whole_request_is_closed(
    port: int, pieces: tuple[bytes, ...]
) -> None:
    said, seconds = answer(port, *pieces)
    assert (said, seconds < 4) == (b"", True)


def test_headers_that_drip_do_not_buy_time(port: int) -> None:
    said, seconds = answer(port, HEADERS, *[b"X: 1\r\n"] * 12, pause=0.1)
    assert statuses(said) == []
    assert seconds < 4


def test_headers_of_a_megabyte_are_not_kept(port: int) -> None:
    said, _ = answer(port, HEADERS + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n")
    assert statuses(said) in ([b"400"], [])


def test_a_request_at_work_is_not_cut_off(port: int) -> None:
    body = b'{"messages": [{"role": "user", "content": "a"}]}'
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    said, seconds = answer(port, head, body, pause=0.7)
    assert statuses(said) == [b"200"]
    assert seconds > 0.7


def test_a_body_in_chunks_arrives_and_a_refused_one_is_answered(port: int) -> None:
    head = (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body = b'{"messages": [{"role": "user", "content": "a"}]}'
    chunks = b"".join(b"1\r\n%c\r\n" % sign for sign in body) + b"0\r\n\r\n"
    assert statuses(answer(port, head % b"/v1/chat/completions", chunks)[0]) == [b"200"]
    assert statuses(answer(port, head % b"/invocations", chunks)[0]) == [b"404"]


def test_two_lengths_or_a_length_and_chunks_are_refused(port: int) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head += b"Content-Type: application/json\r\n"
    for lengths in (
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -1\r\n",
    ):
        said, _ = answer(port, head + lengths + b"\r\n", b"0\r\n\r\n")
        assert statuses(said) == [b"400"]


@pytest.mark.parametrize(
    ("version", "length"), [(b"1.1", b"Content-Length: %d\r\n"), (b"1.0", b"")]
)
def test_a_body_that_a_proxy_may_see_the_end_of_elsewhere_is_refused(
    port: int, version: bytes, length: bytes
) -> None:
    body = b'{"messages": [{"role": "user", "content": "a"}]}'
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert statuses(answer(port, CHUNKED + chunks)[0]) == [b"200"]
    end = (length % len(chunks) if length else b"") + b"\r\n" + chunks
    said, _ = answer(port, CHUNKED.replace(b"1.1", version)[:-2] + end)
    assert statuses(said) == [b"400"]


def test_a_websocket_is_refused_before_a_library_for_them_sees_it(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library(asyncio.Protocol):
        def __init__(self, **_: object) -> None:
            raise AssertionError

    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with _server(site().gate, monkeypatch, ws=Library) as (port, _):
        said, _ = answer(port, HEADERS.replace(b"health", b"v1/realtime") + upgrade + key)
        assert statuses(said) == [b"404"]


@pytest.mark.parametrize("answers", [1, 40])
def test_a_client_that_does_not_read_is_cut_off(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    pieces = (b" " * (50 << 10),) * (400 // answers)
    with (
        _server(site(Application(pieces=pieces)).gate, monkeypatch) as (port, server),
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall((HEADERS + b"\r\n") * answers)
        time.sleep(0.3)
        assert len(server.server_state.connections) == 1
        deadline = time.monotonic() + 5
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.server_state.connections


def test_a_client_that_reads_slowly_is_not_cut_off(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = (b" " * (50 << 10),) * 200
    with (
        _server(site(Application(pieces=pieces)).gate, monkeypatch) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(HEADERS + b"Connection: close\r\n\r\n")
        received = 0
        while data := connection.recv(256 << 10):
            received += len(data)
            time.sleep(0.05)
    assert received > 200 * (50 << 10)


@pytest.mark.parametrize("held", [b"", b"GET /hea"])
def test_one_connection_too_many_ends_the_oldest_that_asks_for_nothing(
    port: int, monkeypatch: pytest.MonkeyPatch, held: bytes
) -> None:
    _limit_connections(monkeypatch)
    with contextlib.ExitStack() as opened:
        idle = [_opened(opened, port, held) for _ in range(3)]
        assert statuses(answer(port, CLOSING)[0]) == [b"200"]
        idle[0].settimeout(1)
        with contextlib.suppress(ConnectionError):
            assert idle[0].recv(1) == b""
        for connection in idle[1:]:
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1)


def test_connections_at_work_are_not_ended_for_another_one(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit_connections(monkeypatch)
    body = b'{"messages": [{"role": "user", "content": "a"}]}'
    with contextlib.ExitStack() as opened:
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        busy = [_opened(opened, port, CHUNKED + chunk) for _ in range(3)]
        assert statuses(answer(port, CLOSING)[0]) == []
        for connection in busy:
            connection.sendall(b"0\r\n\r\n")
            assert statuses(connection.recv(65536)) == [b"200"]
    time.sleep(0.2)
    assert statuses(answer(port, CLOSING)[0]) == [b"200"]


def _limit_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    from dsk.vllm_plugin.gate import protocol

    monkeypatch.setattr(protocol, "HEADER_SECONDS", 5.0)
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 3)


def _opened(opened: contextlib.ExitStack, port: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    opened.enter_context(connection)
    connection.sendall(sent)
    time.sleep(0.1)
    return connection


def test_connections_leave_half_of_the_files_to_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dsk.vllm_plugin.gate import protocol

    for limit, most in ((1024, 512), (65_535, 4096), (-1, 4096)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert protocol.most_connections() == most


CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def test_a_body_of_too_many_small_chunks_is_refused(port: int) -> None:
    from dsk.vllm_plugin.gate import protocol

    body = b'{"messages": [{"role": "user", "content": "a"}]}'
    small = b"1\r\n \r\n" * (protocol.MOST_CHUNKS + 40)
    end = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert statuses(answer(port, CHUNKED + small + end)[0]) == [b"400"]
    # As many in a body of some size are those of a client that buffers little.
    large = b"800\r\n" + b" " * 2048 + b"\r\n"
    assert statuses(answer(port, CHUNKED + large * (protocol.MOST_CHUNKS + 40) + end)[0]) == [
        b"200"
    ]


def test_a_body_that_is_broken_after_its_answer_ends_the_connection_quietly(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    head = HEADERS + b"Transfer-Encoding: chunked\r\n\r\n"
    said, seconds = answer(port, head, b"no chunk\r\n", pause=0.2)
    assert (statuses(said), seconds < 4) == ([b"200"], True)
    assert "Traceback" not in caplog.text
    assert "LocalProtocolError" not in caplog.text

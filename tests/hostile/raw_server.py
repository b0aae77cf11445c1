"""A server on loopback that answers with bytes of a test's choice, HTTP or not."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class RawServer:
    """Replies by the path of the request; a path without a reply is answered as it should be."""

    replies: dict[str, Callable[[socket.socket, bytes], None]]
    """Each gets the connection and the body of the request; then the connection is closed."""
    stopped: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    """The path and the headers of each."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def http_answer(body: bytes, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    """An answer of HTTP/1.1."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def completion(**changes: object) -> dict[str, object]:
    """A chat completion as it should be, with changes."""
    choice = {"message": {"content": "words"}, "finish_reason": "stop"}
    usage = {"completion_tokens": 5, "prompt_tokens": 274}
    return {"choices": [choice], "usage": usage} | changes


def encoded(content: object) -> bytes:
    return http_answer(json.dumps(content).encode(), "Content-Type: application/json")


HONEST = {
    "/v1/models": encoded({"data": [{"id": "deepseek-ocr", "max_model_len": 4096}]}),
    "/tokenize": encoded({"tokens": [7, 8]}),
    "/v1/chat/completions": encoded(completion()),
}


def sends(content: bytes) -> Callable[[socket.socket], None]:
    """A reply that does not look at the request."""
    return lambda connection: connection.sendall(content)


@contextmanager
def raw_server(**replies: Callable[[socket.socket, bytes], None]) -> Iterator[RawServer]:
    """Start a server; ``models``, ``tokenize`` and ``completions`` name the routes."""
    routes = {
        "models": "/v1/models",
        "tokenize": "/tokenize",
        "completions": "/v1/chat/completions",
    }
    server = RawServer({routes[name]: reply for name, reply in replies.items()})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        threading.Thread(target=_accept, args=(listener, server), daemon=True).start()
        yield server
        server.stopped.set()
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server: RawServer) -> None:
    while not server.stopped.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, server), daemon=True).start()


def _serve(connection: socket.socket, server: RawServer) -> None:
    # The client may hang up at any time, which is its right.
    with connection, contextlib.suppress(OSError):
        head, body = _request(connection)
        path = head.split(b" ")[1].decode()
        server.requests.append((path, head))
        if reply := server.replies.get(path):
            reply(connection, body)
        else:
            connection.sendall(HONEST.get(path, encoded({})))


def _request(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of a request."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(1 << 16)
        if not piece:
            raise ConnectionResetError
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        piece = connection.recv(1 << 20)
        if not piece:
            raise ConnectionResetError
        body += piece
    return head, body

"""Raw exchanges with an HTTP server: exact bytes out, and whatever comes back, read politely."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHAT: Final = "/v1/chat/completions"
_LARGEST_ANSWER: Final = 8 << 20
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer of a server; status 0 if it closed the connection without one."""

    status: int
    head: str
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


def request(
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return the bytes of a request; a header that is given replaces the usual one."""
    pairs = list(headers.items() if hasattr(headers, "items") else headers)
    named = {name.lower() for name, _ in pairs}
    usual = [("Host", "127.0.0.1"), ("Connection", "close")]
    if body or method == "POST":
        usual += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    pairs += [(name, value) for name, value in usual if name.lower() not in named]
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogatepass") + body


def exchange(
    address: str, pieces: Sequence[bytes], *, seconds: float = 60, cut: bool = False
) -> Reply:
    """Send pieces of bytes over a new connection and return the answer.

    Args:
        address: the server's URL.
        pieces: sent one after another.
        seconds: the time for everything.
        cut: close the connection once all is sent, without reading.

    Raises:
        TimeoutError: no whole answer came in time.
    """
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port
    end = time.monotonic() + seconds
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if not cut:
                while not _is_whole(received) and len(received) < _LARGEST_ANSWER:
                    connection.settimeout(max(0.01, end - time.monotonic()))
                    data = connection.recv(1 << 16)
                    if not data:
                        break
                    received += data
        except (ConnectionError, BrokenPipeError):
            pass  # refused in the midst of the request: what was answered counts
    head, _, body = received.partition(b"\r\n\r\n")
    status = _STATUS.match(head)
    return Reply(
        status=int(status[1]) if status else 0, head=head.decode("latin-1").lower(), body=body
    )


def _is_whole(received: bytes) -> bool:
    head, blank, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return bool(blank and length and len(body) >= int(length[1]))


def post(
    address: str, path: str, value: Any, *, key: str | None = None, seconds: float = 60
) -> Reply:
    """Post JSON, or bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return exchange(address, [request("POST", path, body, bearer(key))], seconds=seconds)


def bearer(key: str | None) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def chat(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a chat request of content parts."""
    messages = [{"role": "user", "content": list(parts)}]
    usual = {"model": "deepseek-ocr", "temperature": 0, "max_tokens": 1, "messages": messages}
    return usual | fields


def text(words: str = "Free OCR.") -> dict[str, Any]:
    """Return a part of text."""
    return {"type": "text", "text": words}


def image(data: bytes, kind: str = "png") -> dict[str, Any]:
    """Return a part with an image."""
    encoded = base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{encoded}"}}


def picture(width: int = 64, height: int = 64, kind: str = "PNG", mode: str = "L") -> bytes:
    """Return a white picture in a format of Pillow's."""
    sink = io.BytesIO()
    Image.new(mode, (width, height), 255 if mode == "L" else None).save(sink, kind)
    return sink.getvalue()

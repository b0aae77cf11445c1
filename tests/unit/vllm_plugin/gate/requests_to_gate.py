"""Requests to the gate around a small application, which notes what reaches it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from dsk.vllm_plugin.gate.middleware import Gate

KEY = "s3cret-key"
CHAT = "/v1/chat/completions"

Headers = list[tuple[bytes, bytes]]


@dataclass(kw_only=True)
class Reply:
    """An answer as the client gets it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["error"]["message"])


@dataclass
class Application:
    """Stands in for vLLM's: notes each request and answers as it is told."""

    status: int = 200
    headers: Headers = field(default_factory=lambda: [(b"content-type", b"application/json")])
    pieces: tuple[bytes, ...] = (b'{"choices": []}',)
    error: Exception | None = None
    pause: asyncio.Event | None = None
    scopes: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] != "http":
            return
        message = await receive()
        assert not message["more_body"]
        self.bodies.append(message["body"])
        if self.pause:
            await self.pause.wait()
        if self.error:
            raise self.error
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @property
    def requests(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]


@dataclass
class Site:
    """A gate with its application."""

    gate: Gate
    app: Application

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | list[bytes] = b"",
        headers: Headers | None = None,
        **scope: Any,
    ) -> Reply:
        """Send one request, its body in the given pieces."""
        return asyncio.run(self.send(method, path, body, headers, **scope))

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | list[bytes] = b"",
        headers: Headers | None = None,
        **scope: Any,
    ) -> Reply:
        pieces = [body] if isinstance(body, bytes) else list(body)
        sent: list[dict[str, Any]] = []
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if pieces:
                piece = pieces.pop(0)
                return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        connection = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8000")] if headers is None else headers,
        }
        await self.gate(connection | scope, receive, send)
        start, *rest = sent
        assert start["type"] == "http.response.start"
        headers_sent = {name.decode(): value.decode() for name, value in start["headers"]}
        content = b"".join(message["body"] for message in rest)
        return Reply(status=start["status"], headers=headers_sent, body=content)

    def post(self, request: Any, path: str = CHAT, headers: Headers | None = None) -> Reply:
        """Send a request as JSON."""
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        return self.ask("POST", path, body, json_headers(body) if headers is None else headers)


def json_headers(body: bytes, *more: tuple[bytes, bytes]) -> Headers:
    length = (b"content-length", str(len(body)).encode())
    return [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), length, *more]


def picture(
    width: int = 4, height: int = 4, kind: str = "PNG", mode: str = "L", **settings: Any
) -> bytes:
    """An image file."""
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind, **settings)
    return file.getvalue()


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def chat(*urls: str, text: str = "Free OCR.", **fields: Any) -> dict[str, Any]:
    """A chat request with these images."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"model": "deepseek-ocr", "messages": [{"role": "user", "content": parts}]} | fields

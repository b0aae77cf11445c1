"""Answers of vLLM on their way to the client: no library's text in an error, no path, no CORS."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from dsk.vllm_plugin.gate.images import UNREADABLE
from dsk.vllm_plugin.gate.refusal import error_body, error_document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Send = Callable[[dict[str, Any]], Awaitable[None]]

_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
# vLLM's own, kept; no request makes another one necessary.
_KEPT: Final = frozenset({b"content-type", b"content-length", b"retry-after", b"allow"})

# Errors of vLLM (0.8.5 to 0.32.0), and the sentences that clients get in their place.
_KNOWN: Final = (
    (
        r"maximum context length|max_model_len|longer than the maximum",
        "the prompt, its images and max_tokens do not fit into the model's context",
    ),
    (r"The model .* does not exist", "this server serves no model of that name"),
    (
        r"image cannot be read|Failed to load image|cannot identify image|truncated",
        UNREADABLE,
    ),
    (
        r"mm_processor_kwargs|only mode can be|set the mode for the engine",
        "this server does not let requests name their mode: start it with --mode",
    ),
    (r"places for \d+ images", "the prompt has more or fewer image places than there are images"),
    (
        r"roles must alternate",
        "the messages' roles must alternate between user and assistant",
    ),
    (r"At most \d+ image", "the request has more images than the server allows"),
)


class Answer:
    """Sends the answer to one request.

    Args:
        send: ASGI's.
        started: called as soon as vLLM begins to answer.
        models: True if it answers ``/v1/models``.
    """

    def __init__(self, send: Send, started: Callable[[], None], *, models: bool) -> None:
        self._send = send
        self._started = started
        self._models = models
        self._start: dict[str, Any] = {}
        self._held: list[bytes] = []
        self.has_begun = False

    async def send(self, message: dict[str, Any]) -> None:
        """Pass on one of ASGI's messages, changed where it has to be."""
        if message["type"] == "http.response.start":
            self._started()
            self._start = message
            if not self._is_held:
                await self._begin(message["status"], message["headers"])
        elif message["type"] == "http.response.body":
            await self._body(message)

    async def fail(self, error: Exception) -> None:
        """Answer for a vLLM that raised."""
        if not self.has_begun:
            # vLLM 0.24.0 lets these through to its outermost handler, which answers 400.
            is_clients = isinstance(error, (ValueError, TypeError, OverflowError))
            status = 400 if is_clients else 500
            await self._whole(status, error_body(status, public_message(status, str(error))))

    @property
    def _is_held(self) -> bool:
        return self._models or self._start["status"] >= HTTPStatus.BAD_REQUEST

    async def _body(self, message: dict[str, Any]) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self._is_held:
            # An error in the midst of a stream comes as an event.
            body = clean_events(body) if b'"error"' in body else body
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            return
        self._held.append(body)
        if not more:
            status, whole = self._start["status"], b"".join(self._held)
            if status >= HTTPStatus.BAD_REQUEST:
                whole = error_body(status, public_message(status, whole.decode(errors="replace")))
            else:
                whole = without_paths(whole)
            await self._whole(status, whole)

    async def _whole(self, status: int, body: bytes) -> None:
        length = str(len(body)).encode()
        await self._begin(
            status, [(b"content-type", b"application/json"), (b"content-length", length)]
        )
        await self._send({"type": "http.response.body", "body": body})

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.has_begun = True
        kept = [header for header in headers if header[0].lower() in _KEPT]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": kept + _HEADERS}
        )


def public_message(status: int, text: str) -> str:
    """Return the sentence of ours that a client gets in place of an error of vLLM.

    Args:
        status: of vLLM's answer.
        text: vLLM's, in which there may be a path, or an address in memory.
    """
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "the server failed at this request: its log says more"
    known = (sentence for pattern, sentence in _KNOWN if re.search(pattern, text))
    return next(known, "the engine does not take this request")


def clean_events(body: bytes) -> bytes:
    """Return server-sent events with the text of errors replaced."""
    return b"\n".join(_clean_line(line) for line in body.split(b"\n"))


def _clean_line(line: bytes) -> bytes:
    head, data = line[:6], line[6:]
    if head != b"data: ":
        return line
    try:
        event = json.loads(data)
    except ValueError:
        return line
    if isinstance(event, dict) and ("error" in event or event.get("object") == "error"):
        return head + json.dumps(error_document(500, public_message(500, ""))).encode()
    return line


def without_paths(body: bytes) -> bytes:
    """Return the list of models without the folders that they lie in."""
    listed = json.loads(body)
    for card in listed["data"]:
        card["root"] = card["id"]
    return json.dumps(listed).encode()


async def refuse(
    send: Send, status: int, message: str, headers: list[tuple[bytes, bytes]], *, close: bool
) -> None:
    """Send an error of our own.

    Args:
        send: ASGI's.
        status: of the answer.
        message: for the client.
        headers: further headers.
        close: True if the rest of the request was not read: the connection is of no more use.
    """
    body = error_body(status, message)
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    closing = [(b"connection", b"close")] if close else []
    all_headers = own + headers + closing + _HEADERS
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})

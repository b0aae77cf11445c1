"""The gate: which requests reach vLLM's server, in which form, and how many at a time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.vllm_plugin.gate.access import Headers, check_access, values_of
from dsk.vllm_plugin.gate.answers import Answer, refuse
from dsk.vllm_plugin.gate.budget import Budget
from dsk.vllm_plugin.gate.fetching import fetch
from dsk.vllm_plugin.gate.images import checked_image, data_url, is_web_url, limit_pillow
from dsk.vllm_plugin.gate.incoming import FIRST, Incoming
from dsk.vllm_plugin.gate.memory import return_large_blocks
from dsk.vllm_plugin.gate.refusal import ClientGone, Refusal
from dsk.vllm_plugin.gate.requests import image_parts, parse_chat, parse_tokenize
from dsk.vllm_plugin.gate.settings import KEY_VARIABLE, GateSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dsk.vllm_plugin.gate.answers import Send
    from dsk.vllm_plugin.gate.budget import Share
    from dsk.vllm_plugin.gate.incoming import Receive

    Scope = dict[str, Any]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH: Final = "/health"
MODELS: Final = "/v1/models"
CHAT: Final = "/v1/chat/completions"
# What is served. /metrics is for monitoring, /tokenize is what `dsk run --server` asks.
ROUTES: Final = {HEALTH: "GET", MODELS: "GET", "/metrics": "GET", CHAT: "POST", "/tokenize": "POST"}

# Bytes of bodies in the process at a time; vLLM holds four copies of each while it works on it.
BODIES_IN_FLIGHT: Final = 256 << 20
# Pixels at a time of requests that vLLM has not begun to answer. It takes up to 7 bytes for each
# (0.8.5, measured: an image, its copy of another mode, both pickled). A page counts for 2 million
# at least, as it is cut into as many: 128 pages.
PIXELS_IN_FLIGHT: Final = 256_000_000
LEAST_PIXELS: Final = 2_000_000
# Those of images beyond a page of 300 dpi: one at a time takes seconds as it is.
LARGE_IMAGE: Final = 10_000_000
LARGE_PIXELS_IN_FLIGHT: Final = 100_000_000
# Requests that wait unread; each holds a socket and 64 KiB.
QUEUE: Final = 1000
# Of a request: vLLM 0.8.5 sets no limit. Some proxies add a dozen.
MOST_HEADERS: Final = 64

# The client's header that vLLM gets, for its own check. X-Request-Id, for one, names the request
# inside the engine: two at once with one name hang (0.8.5).
_PASSED: Final = b"authorization"
# In place of the client's: starlette puts that into URLs, and fails at one such as "[".
_HOST: Final = (b"host", b"127.0.0.1")


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A request as vLLM gets it."""

    body: bytes
    pixels: int


class Gate:
    """ASGI middleware around vLLM's application.

    Args:
        app: the application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._settings = GateSettings.from_environment()
        self._key = os.environ.get(KEY_VARIABLE) or ""
        self._bodies = Budget(BODIES_IN_FLIGHT, queue=QUEUE)
        self._pixels = Budget(PIXELS_IN_FLIGHT, queue=QUEUE)
        self._large = Budget(LARGE_PIXELS_IN_FLIGHT, queue=QUEUE)
        # Beside the loop: a hostile image's header may take a while, and /health answers.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="dsk-gate")
        limit_pillow(self._settings.max_pixels)
        return_large_blocks()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection as ASGI has it."""
        match scope["type"]:
            case "lifespan":
                await self._app(scope, receive, send)
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = list(scope["headers"])
        incoming = Incoming(receive, headers, self._settings.max_body)
        try:
            path = self._admitted(scope, headers)
            if ROUTES[path] == "GET":
                await self._pass(scope, headers, incoming, send, b"", path)
            else:
                await self._post(scope, headers, incoming, send, path)
        except Refusal as refusal:
            await incoming.drain()
            if not incoming.gone:
                close = not incoming.complete
                await refuse(send, refusal.status, refusal.message, refusal.headers, close=close)
        except ClientGone:
            return

    def _admitted(self, scope: Scope, headers: Headers) -> str:
        """Return the path of a request that may be served.

        Raises:
            Refusal: it has no key, or there is no such route.
        """
        path: str = scope["path"]
        is_health = path == HEALTH and scope["method"] == "GET"
        if not is_health:
            check_access(headers, self._key, self._settings.host)
        if len(headers) > MOST_HEADERS:
            raise Refusal(431, f"the request has more than {MOST_HEADERS} headers")
        # Exactly as written: no second spelling of a path, whatever a proxy in front allows.
        if path not in ROUTES or scope.get("raw_path", path.encode()) != path.encode():
            raise Refusal(404, "there is no such path: this server has /v1/chat/completions")
        if scope["method"] != ROUTES[path]:
            raise Refusal(405, f"use {ROUTES[path]}", allow=ROUTES[path])
        return path

    async def _post(
        self, scope: Scope, headers: Headers, incoming: Incoming, send: Send, path: str
    ) -> None:
        _check_content(headers)
        incoming.check_length()
        with await self._bodies.take(FIRST) as share:
            body = await incoming.read(share)
            checked = await self._checked(path, body, share)
            del body
            budget = self._large if checked.pixels > LARGE_IMAGE else self._pixels
            with await budget.take(checked.pixels) as pixels:
                await self._pass(
                    scope,
                    headers,
                    incoming,
                    send,
                    checked.body,
                    path,
                    started=lambda: pixels.shrink(0),
                )

    async def _checked(self, path: str, body: bytes, share: Share) -> _Checked:
        run, threads = asyncio.get_running_loop().run_in_executor, self._threads
        if path != CHAT:
            request = await run(threads, parse_tokenize, body)
            return _Checked(body=json.dumps(request).encode(), pixels=0)
        request = await run(threads, parse_chat, body)
        images, most = image_parts(request), self._settings.images
        if len(images) > most:
            raise Refusal(400, f"the request has more than {most} image{'s' * (most > 1)}")
        if self._settings.urls:
            await self._fetch([image for image in images if is_web_url(image["url"])], share)
        return await run(threads, self._with_images, request, images)

    async def _fetch(self, images: list[dict[str, Any]], share: Share) -> None:
        """Put fetched images in the place of their URLs, all together as large as a body may be."""
        most, fetched, before = self._settings.max_body, 0, share.amount

        async def hold(size: int) -> None:
            await share.grow(before + fetched + size * 4 // 3)

        for image in images:
            data = await fetch(image["url"], (most - fetched) * 3 // 4, arrived=hold)
            image["url"] = data_url(data)
            fetched += len(image["url"])

    def _with_images(self, request: dict[str, Any], images: list[dict[str, Any]]) -> _Checked:
        """Check a request's images, and write it anew."""
        pixels = 0
        for image in images:
            checked = checked_image(image["url"], self._settings.max_pixels)
            image["url"] = checked.url
            pixels += max(checked.pixels, LEAST_PIXELS)
        return _Checked(body=json.dumps(request).encode(), pixels=pixels)

    async def _pass(
        self,
        scope: Scope,
        headers: Headers,
        incoming: Incoming,
        send: Send,
        body: bytes,
        path: str,
        *,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Let vLLM answer a request that has this body."""
        waiting = [body]

        async def receive() -> dict[str, Any]:
            if waiting:
                return {"type": "http.request", "body": waiting.pop(), "more_body": False}
            return await incoming.wait_for_disconnect()

        answer = Answer(send, started, models=path == MODELS)
        try:
            await self._app(_inner_scope(scope, headers, body), receive, answer.send)
        except Exception as error:
            await answer.fail(error)
            raise


def _inner_scope(scope: Scope, headers: Headers, body: bytes) -> Scope:
    passed = [_HOST, *(header for header in headers if header[0].lower() == _PASSED)]
    if scope["method"] == "POST":
        passed += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
    return scope | {"headers": passed, "query_string": b"", "root_path": ""}


def _check_content(headers: Headers) -> None:
    # A web page may send text/plain anywhere without asking; JSON it may not.
    kinds = [value.split(b";")[0].strip().lower() for value in values_of(headers, b"content-type")]
    if kinds != [b"application/json"]:
        raise Refusal(415, "send the request as Content-Type: application/json")
    if any(True for _ in values_of(headers, b"content-encoding")):
        raise Refusal(415, "send the request without a Content-Encoding")


# vLLM imports this module just before uvicorn chooses its parser, and makes a Gate only after that.
if "uvicorn" in sys.modules:
    from dsk.vllm_plugin.gate import protocol

    protocol.install()

"""The gate: only what is named passes, with the key, and as it was checked."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.vllm_plugin.gate.requests_to_gate import (
    CHAT,
    KEY,
    Application,
    Site,
    chat,
    data_url,
    json_headers,
    picture,
)

from dsk.vllm_plugin.gate import middleware
from dsk.vllm_plugin.gate.middleware import MOST_HEADERS, ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = (b"host", b"127.0.0.1:8000")
BEARER = (b"authorization", b"Bearer " + KEY.encode())
# Routes of vLLM 0.8.5, 0.24.0 and 0.32.0, and what is served by mistake elsewhere.
OTHERS = (
    "/invocations",
    "/ping",
    "/version",
    "/load",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/docs/oauth2-redirect",
    "/detokenize",
    "/pooling",
    "/score",
    "/v1/score",
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/chat/completions/batch",
    "/v1/chat/completions/render",
    "/v1/audio/transcriptions",
    "/v1/load_lora_adapter",
    "/inference/v1/generate",
    "/generative_scoring",
    "/scale_elastic_ep",
    "/metrics/",
    "/metrics/x",
    "/metricsx",
    "/health/",
    "//health",
    "/health/../v1/models",
    "/",
    "",
    "*",
    "//v1/chat/completions",
    "/v1//chat/completions",
    "/v1/chat/completions/",
    "/V1/chat/completions",
    "/v1/chat/completions\n",
    "/v1/chat/completions%00",
    "/v1/models/deepseek-ocr",
    "http://127.0.0.1/v1/models",
)


def test_what_is_named_is_served(site: Callable[..., Site]) -> None:
    there = site(key=KEY)
    assert there.ask("GET", "/health", headers=[HOST]).status == 200
    for path in ("/v1/models", "/metrics"):
        there.app.pieces = (b'{"data": []}',)
        assert there.ask("GET", path, headers=[HOST, BEARER]).status == 200
    assert there.post(chat(), headers=json_headers(b"", BEARER)[:2] + [BEARER]).status == 200
    assert (
        there.post({"prompt": "<td>"}, "/tokenize", [*json_headers(b"")[:2], BEARER]).status == 200
    )


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"]
)
def test_without_the_key_everything_but_health_is_401(
    site: Callable[..., Site], method: str
) -> None:
    there = site(key=KEY)
    for path in {*OTHERS, *ROUTES}:
        reply = there.ask(method, path, headers=[HOST])
        open_to_all = (method, path) == ("GET", "/health")
        assert reply.status == (200 if open_to_all else 401), path
    assert [scope["path"] for scope in there.app.scopes] == ["/health"] * (method == "GET")


@pytest.mark.parametrize("key", ["", KEY])
@pytest.mark.parametrize("path", OTHERS)
def test_every_other_path_and_spelling_is_404(
    site: Callable[..., Site], path: str, key: str
) -> None:
    there = site(key=key)
    headers = [HOST, BEARER] if key else [HOST]
    for method in ("GET", "POST", "OPTIONS"):
        assert there.ask(method, path, headers=headers).status == 404
    assert there.app.scopes == []


@pytest.mark.parametrize(
    "raw", [b"/v1/chat%2fcompletions", b"/v1/%63hat/completions", b"/v1/models%20"]
)
def test_an_encoded_path_is_another_path(site: Callable[..., Site], raw: bytes) -> None:
    there = site(Application(pieces=(b'{"data": []}',)))
    assert there.ask("GET", "/v1/models", raw_path=raw).status == 404
    assert there.ask("GET", "/v1/models", raw_path=b"/v1/models").status == 200


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_another_method_is_405_and_says_which(site: Callable[..., Site], path: str) -> None:
    there = site(key=KEY)
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "post"} - {
        ROUTES[path]
    }:
        reply = there.ask(method, path, headers=[HOST, BEARER])
        assert (reply.status, reply.headers["allow"]) == (405, ROUTES[path])
    assert there.app.scopes == []


def test_a_query_and_a_root_path_do_not_reach_vllm(site: Callable[..., Site]) -> None:
    there = site(Application(pieces=(b'{"data": []}',)))
    reply = there.ask("GET", "/v1/models", query_string=b"x=1", root_path="/v1")
    assert reply.status == 200
    (scope,) = there.app.scopes
    assert (scope["query_string"], scope["root_path"]) == (b"", "")


def test_websockets_are_closed_and_the_lifespan_passes(site: Callable[..., Site]) -> None:
    there = site()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(there.gate({"type": "websocket", "path": "/v1/realtime"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert there.app.scopes == []
    asyncio.run(there.gate({"type": "lifespan"}, receive, send))
    assert there.app.scopes == [{"type": "lifespan"}]


def test_vllm_gets_what_was_checked_and_few_headers(site: Callable[..., Site]) -> None:
    there = site()
    body = json.dumps(chat(data_url(picture()), temperature=0, tools=None)).encode()
    body = body.replace(b'"temperature": 0', b'"temperature": 2, "temperature": 0')
    more = [(b"x-request-id", b"1"), (b"x-data-parallel-rank", b"7"), (b"accept", b"*/*")]
    assert there.post(body, headers=json_headers(body, *more)).status == 200
    (request,), (scope,) = there.app.requests, there.app.scopes
    assert request == chat(data_url(picture()), temperature=0)
    headers = dict(scope["headers"])
    assert set(headers) == {b"host", b"content-type", b"content-length"}
    assert int(headers[b"content-length"]) == len(there.app.bodies[0])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 415),
        ([(b"content-type", b"text/plain")], 415),
        ([(b"content-type", b"application/x-www-form-urlencoded")], 415),
        ([(b"content-type", b"application/json"), (b"content-type", b"application/json")], 415),
        ([(b"content-type", b"application/json"), (b"content-encoding", b"gzip")], 415),
        ([(b"content-type", b"APPLICATION/JSON ; charset=utf-8")], 200),
    ],
)
def test_only_json_is_read(
    site: Callable[..., Site], headers: list[tuple[bytes, bytes]], status: int
) -> None:
    assert site().post(chat(), headers=[HOST, *headers]).status == status


def test_a_large_body_is_413_whether_or_not_it_says_so(site: Callable[..., Site]) -> None:
    there = site(max_body=1000)
    body = json.dumps(chat(text="x" * 1000)).encode()
    assert there.post(body).status == 413
    pieces = [body[place : place + 100] for place in range(0, len(body), 100)]
    headers = [HOST, (b"content-type", b"application/json")]
    assert there.ask("POST", CHAT, pieces, headers).status == 413
    assert there.ask("POST", CHAT, [json.dumps(chat()).encode(), b""], headers).status == 200
    assert len(there.app.scopes) == 1


def test_vllm_does_not_see_the_host_that_a_client_names(site: Callable[..., Site]) -> None:
    # starlette makes URLs of it: "[" was a 500 from vLLM 0.8.5 (found by the random requests).
    there = site(key=KEY)
    for host in (b"[", b"[::1", b"evil.example/v1", b"a/../health?", b""):
        assert there.ask("GET", "/metrics", headers=[(b"host", host), BEARER]).status == 200
        hosts = [value for name, value in there.app.scopes[-1]["headers"] if name == b"host"]
        assert hosts == [b"127.0.0.1"]


def test_many_headers_are_431(site: Callable[..., Site]) -> None:
    many = [HOST, *[(b"x-a", b"1")] * MOST_HEADERS]
    assert site().ask("GET", "/metrics", headers=many).status == 431


def test_more_images_than_allowed_are_refused_before_any_is_opened(
    site: Callable[..., Site],
) -> None:
    url = data_url(picture())
    there = site()
    assert there.post(chat(url)).status == 200
    reply = there.post(chat(url, "not an image"))
    assert (reply.status, reply.message) == (400, "the request has more than 1 image")
    two = chat(url)
    two["messages"] *= 2
    assert there.post(two).status == 400
    assert site(images=2).post(two).status == 200


def test_pages_wait_until_there_is_memory_for_them(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "PIXELS_IN_FLIGHT", 2 * middleware.LEAST_PIXELS)

    async def three() -> list[int]:
        go = asyncio.Event()
        there = site(Application(pause=go))
        body = json.dumps(chat(data_url(picture()))).encode()
        asked = [
            asyncio.create_task(there.send("POST", CHAT, body, json_headers(body)))
            for _ in range(3)
        ]
        while len(there.app.bodies) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        in_vllm = [len(there.app.bodies)]
        go.set()
        replies = await asyncio.gather(*asked)
        return in_vllm + [reply.status for reply in replies]

    assert asyncio.run(three()) == [2, 200, 200, 200]


def test_bodies_that_are_announced_and_not_sent_keep_nobody_out(site: Callable[..., Site]) -> None:
    async def run() -> int:
        there = site()
        silent = asyncio.Event()
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await silent.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = json_headers(b"")[:2] + [(b"content-length", b"67108864")]
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers}
        idle = [asyncio.create_task(there.gate(scope, receive, send)) for _ in range(1000)]
        await asyncio.sleep(0)
        body = json.dumps(chat(data_url(picture()))).encode()
        reply = await asyncio.wait_for(there.send("POST", CHAT, body, json_headers(body)), 5)
        silent.set()
        await asyncio.gather(*idle)
        assert sent == []
        return reply.status

    assert asyncio.run(run()) == 200


# vLLM 0.24.0 lets what a client can mend reach its outermost handler, which is outside the gate.
@pytest.mark.parametrize(
    ("raised", "status"), [(RuntimeError, 500), (ValueError, 400), (TypeError, 400)]
)
def test_a_vllm_that_raises_answers_a_constant_text(
    site: Callable[..., Site], raised: type[Exception], status: int
) -> None:
    there = site(Application(error=raised("<object at 0x7f4981b5f330>")))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [HOST]}
    with pytest.raises(raised):
        asyncio.run(there.gate(scope, receive, send))
    assert sent[0]["status"] == status
    assert b"0x" not in sent[1]["body"]

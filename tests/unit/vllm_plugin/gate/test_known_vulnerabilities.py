"""Each published vulnerability of vLLM's server and of what it stands on, as the gate meets it.

The statements in compat/vex that say so name this file; `tests/unit/advisories/test_vex.py` holds
them to it: a statement's vulnerability is named here.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from tests.unit.vllm_plugin.gate.requests_to_gate import (
    KEY,
    Application,
    Site,
    chat,
    data_url,
    json_headers,
    picture,
)

from dsk.vllm_plugin.gate import access
from dsk.vllm_plugin.gate.middleware import Gate
from dsk.vllm_plugin.gate.protocol import LimitedH11Protocol
from dsk.vllm_plugin.gate.settings import KEY_VARIABLE, SETTINGS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

NESTED = "{% for a in range(9**9) %}{% for b in range(9**9) %}x{% endfor %}{% endfor %}"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"pattern": "(a+)+$"}}}
DEEP_GRAMMAR = "root ::= " + "(" * 30_000 + '"x"' + ")" * 30_000

FIELDS: dict[str, dict[str, Any]] = {
    "CVE-2025-48943": {"guided_regex": "[.*"},
    "CVE-2025-48942": {"guided_json": {"type": "nonsense"}},
    "CVE-2025-48944": {"tools": [TOOL], "tool_choice": "required"},
    "CVE-2025-48887": {"tools": [TOOL], "tool_choice": "auto"},
    "GHSA-j828-28rj-hfhp": {"tools": [TOOL], "tool_choice": {"type": "function"}},
    "CVE-2026-55574": {"structured_outputs": {"regex": "(a|a)*{1,9999}"}},
    "CVE-2026-105757": {"response_format": {"type": "json_schema", "json_schema": {}}},
    "CVE-2026-25048": {"guided_grammar": DEEP_GRAMMAR},
    "CVE-2025-57809": {"structured_outputs": {"grammar": "root ::= root root | root"}},
    "CVE-2025-69872": {"guided_decoding_backend": "outlines", "guided_regex": "a"},
    "CVE-2025-61620": {"chat_template": NESTED},
    "CVE-2025-62426": {"chat_template_kwargs": {"chat_template": NESTED, "tokenize": True}},
    "PYSEC-2026-4349": {"chat_template": NESTED, "add_generation_prompt": False},
    "CVE-2026-34756": {"n": 1_000_000_000},
    "CVE-2026-54235": {"temperature": float("inf")},
}
"""Fields of a chat request."""

PARTS: dict[str, dict[str, Any]] = {
    "CVE-2025-62372": {"type": "image_embeds", "image_embeds": "gAJ9cQAu"},
    "CVE-2026-24747": {"type": "image_embeds", "image_embeds": {"image": "gAJ9cQAu"}},
    "CVE-2025-6242": {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}},
    "CVE-2026-24779": {"type": "image_url", "image_url": {"url": "\t http:\\\\127.0.0.1\\@a.b/"}},
    "CVE-2026-5497": {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64,/9j,/9j"}},
    "CVE-2026-34755": {"type": "image_url", "image_url": {"url": "data:video/jpeg;base64,/9j,/9j"}},
    "CVE-2026-54233": {"type": "input_audio", "input_audio": {"data": "T2dn", "format": "opus"}},
    "CVE-2026-34760": {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,UklGRg"}},
}
"""Parts of a message."""

ROUTES = {
    "CVE-2026-54236": "/v1/messages",
    "CVE-2026-115911": "/v1/responses",
    "PYSEC-2026-4353": "/inference/v1/generate",
}
"""Routes that are not served, with and without the key."""

OTHERS = (
    "CVE-2025-48956",
    "CVE-2025-59425",
    "CVE-2026-22778",
    "CVE-2026-48710",
    "CVE-2026-48746",
    "CVE-2026-54282",
    "CVE-2026-54283",
)
"""Vulnerabilities that have a test of their own."""

NAMED = {*FIELDS, *PARTS, *ROUTES, *OTHERS}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_of_a_request_does_not_reach_vllm(site: Callable[..., Site], name: str) -> None:
    there = site()
    reply = there.post(chat(data_url(picture())) | FIELDS[name])
    assert reply.status == 400
    assert there.app.scopes == []


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_message_does_not_reach_vllm(site: Callable[..., Site], name: str) -> None:
    there = site()
    request = chat()
    request["messages"][0]["content"].append(PARTS[name])
    assert there.post(request).status == 400
    assert there.app.scopes == []


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_is_not_there(site: Callable[..., Site], name: str) -> None:
    there = site(key=KEY)
    bearer = (b"authorization", b"Bearer " + KEY.encode())
    body = json.dumps({"chat_template": NESTED, "input": "x"}).encode()
    with_key = there.ask("POST", ROUTES[name], body, json_headers(body, bearer))
    assert with_key.status == 404
    assert there.ask("POST", ROUTES[name], body, json_headers(body)).status == 401
    assert there.app.scopes == []


def test_cve_2026_54282_a_path_is_no_part_of_the_host(site: Callable[..., Site]) -> None:
    there = site()
    for path in ("evil.example/v1/models", "@evil.example/v1/models", ".evil.example/health"):
        assert there.ask("GET", path).status == 404
    assert there.app.scopes == []


def test_cve_2026_54283_a_form_is_not_parsed(site: Callable[..., Site]) -> None:
    there = site()
    for kind in (b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"):
        headers = [(b"host", b"127.0.0.1"), (b"content-type", kind)]
        assert there.post(b"a=1&" * 1000, headers=headers).status == 415
    assert there.app.scopes == []


def test_cve_2026_22778_an_error_has_no_address_in_memory(site: Callable[..., Site]) -> None:
    broken = site().post(chat(data_url(b"no image at all")))
    assert (broken.status, "0x" in broken.message) == (400, False)
    # Also one that only vLLM's decoder stumbles over.
    told = b'{"message": "cannot identify image file <_io.BytesIO object at 0x7f4981b5f330>"}'
    reply = site(Application(status=400, pieces=(told,))).post(chat(data_url(picture())))
    assert (reply.status, b"0x" in reply.body) == (400, False)


def test_cve_2025_59425_the_key_is_compared_in_constant_time(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(access, "hmac", type("Module", (), {"compare_digest": compare}))
    there = site(key=KEY)
    wrong = (b"authorization", b"Bearer s3cret-kez")
    assert there.ask("GET", "/v1/models", headers=[wrong]).status == 401
    assert compared == [(b"s3cret-kez", KEY.encode())]
    assert there.app.scopes == []


@pytest.mark.parametrize("host", [b"127.0.0.1/health?", b"x/health#", b"a@b/ping?", b"/health"])
def test_cve_2026_48746_and_48710_a_host_header_does_not_pass_the_key(
    site: Callable[..., Site], host: bytes
) -> None:
    there = site(key=KEY)
    headers = [(b"host", host), (b"content-type", b"application/json")]
    assert there.post(chat(), headers=headers).status == 401
    assert there.ask("GET", "/v1/models", headers=[(b"host", host)]).status == 401
    assert there.app.scopes == []


def bytes_until_closed(client: socket.socket, piece: bytes, most: int) -> int:
    """Send a piece again and again; return how many bytes went before the server had enough."""
    for count in range(most):
        try:
            client.sendall(piece)
        except OSError:
            return count * len(piece)
    return most * len(piece)


def test_cve_2025_48956_a_header_of_megabytes_is_not_read(
    monkeypatch: pytest.MonkeyPatch, untouched_pillow: None
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "")
    monkeypatch.setenv(SETTINGS_VARIABLE, "{}")
    app = Application()
    config = uvicorn.Config(Gate(app), http=LimitedH11Protocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=10) as client:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
                sent = bytes_until_closed(client, b"a" * (1 << 16), most=1024)
        finally:
            server.should_exit = True
            thread.join(10)
    assert sent < 8 << 20
    assert app.scopes == []

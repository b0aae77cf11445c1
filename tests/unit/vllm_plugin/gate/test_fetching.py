"""Images by URL: of public addresses, at the address that was checked, within limits."""

from __future__ import annotations

import asyncio
import http.server
import ipaddress
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.vllm_plugin.gate.requests_to_gate import Site, chat, data_url, picture

from dsk.vllm_plugin.gate import fetching, middleware
from dsk.vllm_plugin.gate.fetching import fetch, is_public
from dsk.vllm_plugin.gate.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGE = picture(12, 10)


class Web(http.server.BaseHTTPRequestHandler):
    hosts: list[str | None]

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        status = {"/moved": 302, "/missing": 404}.get(self.path, 200)
        self.send_response(status)
        if self.path == "/moved":
            self.send_header("Location", "/image")
        if self.path == "/zipped":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        try:
            self.wfile.write(IMAGE)
            while self.path == "/endless":
                self.wfile.write(bytes(65536))
            if self.path == "/slow":
                time.sleep(2)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    Web.hosts = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def got(url: str, limit: int = 1 << 20, *, local: bool = True) -> bytes:
    if local:
        return asyncio.run(fetch(url, limit, allowed=lambda _: True))
    return asyncio.run(fetch(url, limit))


def refused(url: str, **given: Any) -> bool:
    with pytest.raises(Refusal) as caught:
        got(url, **given)
    return caught.value.status == 400 and "0x" not in caught.value.message


def test_an_image_is_fetched_by_the_name_that_was_given(web: str) -> None:
    assert got(f" {web}/image") == IMAGE
    assert Web.hosts == [web.removeprefix("http://")]


@pytest.mark.parametrize("path", ["/moved", "/missing", "/zipped", "/endless"])
def test_a_redirect_an_error_and_an_endless_answer_are_refused(web: str, path: str) -> None:
    assert refused(web + path)
    assert len(Web.hosts) == 1


def test_a_slow_answer_is_given_up(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 0.2)
    assert refused(f"{web}/slow")


def test_addresses_of_this_machine_and_its_network_are_not_asked(web: str) -> None:
    port = web.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "[::1]"):
        assert refused(f"http://{host}:{port}/image", local=False)
    assert Web.hosts == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_a_name_with_one_private_address_is_not_asked(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both(_loop: object, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (host, 80)) for host in ("8.8.8.8", "127.0.0.1")]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", both)
    assert refused(web, local=False)
    assert Web.hosts == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/x",
        "file:///etc/hostname",
        "http://",
        "http:///x",
        "http://user:key@example.com/x",
        "http://@example.com/x",
        "http://example.com:0/x",
        "http://example.com:99999/x",
        "http://[::1/x",
        "http://ex\u00e4mple.com/x",
        "https+http://example.com/x",
        "//example.com/x",
    ],
)
def test_other_urls_are_refused_before_a_name_is_resolved(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: object, **__: object) -> list[Any]:
        raise AssertionError

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", asked)
    assert refused(url)


def test_vllm_gets_the_bytes_and_never_the_url(
    site: Callable[..., Site], web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch_here(url: str, limit: int) -> bytes:
        return await fetch(url, limit, allowed=lambda _: True)

    monkeypatch.setattr(middleware, "fetch", fetch_here)
    there = site(urls=True)
    assert there.post(chat(f"{web}/image")).status == 200
    assert there.app.requests == [chat(data_url(IMAGE))]
    closed = site()
    assert closed.post(chat(f"{web}/image")).status == 400
    assert len(Web.hosts) == 1

"""Images by URL: of public addresses, at the address that was checked, within limits."""

from __future__ import annotations

import asyncio
import http.server
import ipaddress
import json
import socket
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.unit.vllm_plugin.gate.requests_to_gate import (
    CHAT,
    Site,
    chat,
    data_url,
    json_headers,
    picture,
)

from dsk.vllm_plugin.gate import fetching, middleware
from dsk.vllm_plugin.gate.fetching import fetch, is_elsewhere, is_public
from dsk.vllm_plugin.gate.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGE = picture(12, 10)
LARGE = IMAGE + bytes(3000)


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
            self.wfile.write(LARGE if self.path == "/large" else IMAGE)
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


async def nothing(_size: int) -> None:
    pass


def got(url: str, limit: int = 1 << 20, *, local: bool = True) -> bytes:
    if local:
        return asyncio.run(fetch(url, limit, arrived=nothing, allowed=lambda _: True))
    return asyncio.run(fetch(url, limit, arrived=nothing))


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
        ("::7f00:1", False),
        ("fec0::1", False),
        ("64:ff9b:1::7f00:1", False),
        ("2001:0:808:808::", False),
        ("5f00::1", False),
        ("100::1", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("::ffff:168.63.129.16", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize("own", ["8.8.8.8", "2606:4700::1111"])
def test_addresses_of_this_machine_are_not_asked_though_they_are_public(
    own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kernel:
        """Connects to one address from itself, and to others from another one."""

        def __init__(self, *_: object) -> None:
            self.name = ("192.0.2.1" if "." in own else "2001:db8::1", 40_000)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, address: tuple[str, int]) -> None:
            self.name = (own, 40_000) if address[0] == own else self.name

        def getsockname(self) -> tuple[str, int]:
            return self.name

    monkeypatch.setattr(socket, "socket", Kernel)
    assert not is_elsewhere(ipaddress.ip_address(own))
    assert is_elsewhere(ipaddress.ip_address("9.9.9.9" if "." in own else "2620:fe::fe"))


def test_a_machine_without_a_route_asks_nobody() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.connect(("127.0.0.1", 9))
        assert trial.getsockname()[0] == "127.0.0.1"  # by which is_elsewhere knows them
    assert not is_elsewhere(ipaddress.ip_address("127.0.0.1"))


def test_a_name_with_one_private_address_is_not_asked(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (host, 80)) for host in ("8.8.8.8", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert refused(web, local=False)
    assert Web.hosts == []


def test_a_name_server_that_does_not_answer_keeps_no_thread_from_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()

    def tarpit(*_: object, **__: object) -> list[Any]:
        over.wait(20)
        raise socket.gaierror

    async def work() -> float:
        asked = [asyncio.create_task(fetch("http://a.test/", 9, arrived=nothing)) for _ in "a" * 40]
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await asyncio.to_thread(time.sleep, 0)
        seconds = time.monotonic() - begun
        assert {str(error) for error in await asyncio.gather(*asked, return_exceptions=True)} == {
            "an image could not be fetched from its URL"
        }
        return seconds

    monkeypatch.setattr(socket, "getaddrinfo", tarpit)
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 2.0)
    try:
        assert asyncio.run(work()) < 1.5
    finally:
        over.set()


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
    def asked(*_: object, **__: object) -> list[Any]:
        raise AssertionError

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    assert refused(url)


async def fetch_here(url: str, limit: int, *, arrived: Any) -> bytes:
    return await fetch(url, limit, arrived=arrived, allowed=lambda _: True)


def test_fetched_images_count_like_those_in_bodies(
    site: Callable[..., Site], web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "fetch", fetch_here)
    together = len(data_url(LARGE)) * 2
    for most, status in ((together + 1000, 200), (together - 100, 400)):
        there = site(urls=True, images=2, max_body=most)
        assert there.post(chat(*[f"{web}/large"] * 2)).status == status
    # All bodies together have so much: an endless answer waits for the others, and is given up.
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 1.0)
    monkeypatch.setattr(middleware, "BODIES_IN_FLIGHT", 4 << 20)
    there = site(urls=True)

    async def answers() -> list[int]:
        request = json.dumps(chat(f"{web}/endless")).encode()
        headers = json_headers(request)
        sent = [there.send("POST", CHAT, request, headers) for _ in range(4)]
        return [reply.status for reply in await asyncio.gather(*sent)]

    tracemalloc.start()
    assert asyncio.run(answers()) == [400] * 4
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_vllm_gets_the_bytes_and_never_the_url(
    site: Callable[..., Site], web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "fetch", fetch_here)
    there = site(urls=True)
    assert there.post(chat(f"{web}/image")).status == 200
    assert there.app.requests == [chat(data_url(IMAGE))]
    closed = site()
    assert closed.post(chat(f"{web}/image")).status == 400
    assert len(Web.hosts) == 1

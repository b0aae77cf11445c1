"""Access: callers with the key, and no web page where there is none."""

from __future__ import annotations

import pytest

from dsk.vllm_plugin.gate.access import check_access
from dsk.vllm_plugin.gate.refusal import Refusal

KEY = "s3cret-key"
Headers = list[tuple[bytes, bytes]]


def status(headers: Headers, *, key: str = "", host: str = "127.0.0.1") -> int:
    try:
        check_access(headers, key, host)
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_the_key_opens(scheme: bytes) -> None:
    assert status([(b"authorization", scheme + b" s3cret-key")], key=KEY) == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Bearer s3cret-ke")],
        [(b"authorization", b"Bearer s3cret-keyy")],
        [(b"authorization", b"Bearer S3CRET-KEY")],
        [(b"authorization", b"Bearer s3cret-key, Bearer x")],
        [(b"authorization", b"Basic s3cret-key")],
        [(b"authorization", b"s3cret-key")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"x-api-key", b"s3cret-key")],
        [(b"cookie", b"key=s3cret-key")],
        # A proxy may look at one of them and vLLM at the other.
        [(b"authorization", b"Bearer s3cret-key"), (b"authorization", b"Bearer wrong")],
        [(b"authorization", b"Bearer wrong"), (b"authorization", b"Bearer s3cret-key")],
    ],
)
def test_anything_else_is_401(headers: Headers) -> None:
    assert status([(b"host", b"127.0.0.1"), *headers], key=KEY) == 401


def test_a_key_with_other_letters_is_compared_as_bytes() -> None:
    assert status([(b"authorization", "Bearer schlüssel".encode())], key="schlüssel") == 200
    assert status([(b"authorization", b"Bearer schl\xfcssel")], key="schlüssel") == 401


def test_with_a_key_host_and_origin_do_not_matter() -> None:
    headers = [(b"host", b"ocr.example"), (b"origin", b"https://app.example")]
    assert status([*headers, (b"authorization", b"Bearer s3cret-key")], key=KEY) == 200


@pytest.mark.parametrize(
    "host",
    [
        b"127.0.0.1",
        b"127.0.0.1:8000",
        b"localhost:8000",
        b"LOCALHOST",
        b"[::1]:8000",
        b"127.0.0.53",
    ],
)
def test_without_a_key_this_machine_may_ask(host: bytes) -> None:
    assert status([(b"host", host)]) == 200


def test_the_address_that_the_server_was_given_is_this_machine() -> None:
    assert status([(b"host", b"Box.Local:8000")], host="box.local") == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"")],
        [(b"host", b"evil.example")],
        [(b"host", b"evil.example:8000")],
        [(b"host", b"127.0.0.1.evil.example")],
        [(b"host", b"localhost.evil.example")],
        [(b"host", b"127.0.0.1@evil.example")],
        [(b"host", b"0.0.0.0")],
        [(b"host", b"[")],
        [(b"host", b"127.0.0.1"), (b"host", b"evil.example")],
        [(b"host", b"127.0.0.1:8000"), (b"origin", b"http://evil.example")],
        [(b"host", b"127.0.0.1:8000"), (b"origin", b"null")],
        [(b"host", b"127.0.0.1:8000"), (b"origin", b"http://[")],
        [(b"host", b"127.0.0.1:8000"), (b"origin", b"http://\xb9")],
        [(b"host", b"127.0.0.1:8000"), (b"origin", b"http://127.0.0.1:3000")],
        [(b"host", b"127.0.0.1:8000"), (b"sec-fetch-site", b"cross-site")],
        [(b"host", b"127.0.0.1:8000"), (b"sec-fetch-site", b"same-site")],
    ],
)
def test_without_a_key_web_pages_and_rebound_names_are_refused(headers: Headers) -> None:
    assert status(headers) == 403


def test_a_page_of_the_same_origin_and_a_typed_address_are_no_web_page() -> None:
    here = (b"host", b"127.0.0.1:8000")
    assert status([here, (b"origin", b"http://127.0.0.1:8000")]) == 200
    assert status([here, (b"sec-fetch-site", b"none")]) == 200

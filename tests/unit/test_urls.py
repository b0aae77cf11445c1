"""URLs that are printed or kept: without user, password and keys."""

from __future__ import annotations

import pytest

from dsk import urls

HIDDEN = {
    "http://alice:hunter2@host:8000/v1": "http://***@host:8000/v1",
    "https://hunter2@mirror.example/simple/": "https://***@mirror.example/simple/",
    "http://alice:hun:ter2@host": "http://***@host",
    "http://alice:p@hunter2@host/": "http://***@host/",
    "http://alice:hunter2/x@host/": "http://***@host/",
    "http://alice:hunter2?x@host/": "http://***@host/",
    "HTTP://Alice:hunter2@[::1]:80/": "HTTP://***@[::1]:80/",
    "socks5h://alice:hunter2@proxy": "socks5h://***@proxy",
    "http:\\\\alice:hunter2@host": "http:\\\\***@host",
    "at `https://a:hunter2@x/y`, then 'https://b:hunter2@z'": "at `https://***@x/y`, then "
    "'https://***@z'",
    "https://h/file?token=hunter2&v=1": "https://h/file?token=***&v=1",
    "https://h/f?X-Amz-Signature=hunter2&X-Amz-Credential=hunter2#a": "https://h/f?"
    "X-Amz-Signature=***&X-Amz-Credential=***#a",
    "https://h/f?Key-Pair-Id=hunter2;api_key=hunter2": "https://h/f?Key-Pair-Id=***;api_key=***",
}
KEPT = [
    "http://host:8000/a@b",
    "https://host/@scope/package?v=1",
    "user@example.org",
    "git+https://host/x.git",
    "a: b @ c",
    "http://[::1]:8000",
    "x == 'y' and z=1",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_what_signs_in_is_masked(text: str) -> None:
    assert urls.masked(text) == HIDDEN[text]
    assert "hunter2" not in urls.without_user(text)


@pytest.mark.parametrize("text", KEPT)
def test_the_rest_is_as_it_was(text: str) -> None:
    assert urls.masked(text) == text


def test_a_server_is_named_without_its_user() -> None:
    assert urls.without_user("http://alice:hunter2@host:8000") == "http://host:8000"


def test_hostile_text_takes_linear_time() -> None:
    for piece in ("a://b:c", "://" * 3, "?token", "&key=", "http://" + "a:" * 50):
        urls.masked(piece * 20_000)

"""Bodies: whole, of a limited size, in a limited time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dsk.vllm_plugin.gate import incoming
from dsk.vllm_plugin.gate.budget import Budget
from dsk.vllm_plugin.gate.incoming import Incoming
from dsk.vllm_plugin.gate.refusal import ClientGone, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 100


def sends(*pieces: bytes, more: bool = False) -> Callable[[], Any]:
    """ASGI's receive of a client that sends these pieces, and with ``more`` then nothing."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if not left:
            if more:
                await asyncio.sleep(3600)
            return {"type": "http.disconnect"}
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left) or more}

    return receive


def whole(body: Incoming) -> bytes:
    async def read() -> bytes:
        with await Budget(2 * incoming.STEP, queue=1).take(1) as share:
            return await body.read(share)

    return asyncio.run(read())


def length(value: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", value)]


def test_a_body_is_put_together() -> None:
    body = Incoming(sends(b"a", b"", b"bc"), [], LIMIT)
    assert whole(body) == b"abc"
    assert body.complete


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_a_body_in_chunks_is_limited(size: int) -> None:
    body = Incoming(sends(*[b"x"] * size), [], LIMIT)
    if size <= LIMIT:
        assert len(whole(body)) == size
        return
    with pytest.raises(Refusal) as caught:
        whole(body)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"100", 0),
        (b"101", 413),
        (b"-1", 400),
        (b"1e3", 400),
        (b"", 400),
        (b"9" * 40, 400),
        (b"+5", 400),
    ],
)
def test_the_announced_size_is_checked_before_anything_is_read(value: bytes, status: int) -> None:
    body = Incoming(sends(b"x"), length(value), LIMIT)
    if not status:
        body.check_length()
        return
    with pytest.raises(Refusal) as caught:
        body.check_length()
    assert caught.value.status == status


def test_two_sizes_are_none() -> None:
    with pytest.raises(Refusal):
        Incoming(sends(b"x"), length(b"1") * 2, LIMIT).check_length()
    Incoming(sends(b"x"), [], LIMIT).check_length()


def test_a_slow_body_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "PIECE_SECONDS", 0.05)
    with pytest.raises(Refusal) as caught:
        whole(Incoming(sends(b"x", more=True), [], LIMIT))
    assert caught.value.status == 408


def test_a_body_of_slow_pieces_is_408_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "BODY_SECONDS", 0.1)

    async def drips() -> dict[str, Any]:
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(Refusal) as caught:
        whole(Incoming(drips, [], LIMIT))
    assert caught.value.status == 408


def test_a_client_that_goes_away_gets_no_answer() -> None:
    body = Incoming(sends(), [], LIMIT)
    with pytest.raises(ClientGone):
        whole(body)
    assert body.gone


def test_the_rest_of_a_refused_body_is_read_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "DRAIN_SECONDS", 0.05)
    short = Incoming(sends(b"x" * 150), [], LIMIT)
    asyncio.run(short.drain())
    assert short.complete
    endless = Incoming(sends(*[b"x" * 60] * 100), [], LIMIT)
    asyncio.run(endless.drain())
    assert not endless.complete
    silent = Incoming(sends(b"x", more=True), [], LIMIT)
    asyncio.run(silent.drain())
    assert not silent.complete

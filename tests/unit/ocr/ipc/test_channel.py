"""A channel to a process that is not trusted: messages end, in time, and files cannot change."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from typing import TYPE_CHECKING

import pytest

from dsk.ocr.ipc import channel
from dsk.ocr.ipc.channel import Channel, Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


class Words(Message):
    words: str


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = Channel.pair(max_bytes=1000, seconds=0.3)
    with theirs, contextlib.closing(ours):
        yield ours, theirs


def test_a_message_arrives_whole(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    with contextlib.closing(Channel(theirs.dup())) as other:
        other.send(Words(words="hello"))
    body, file = ours.receive()
    assert (Words.model_validate_json(body).words, file) == ("hello", None)


@pytest.mark.parametrize("part", [b"\0\0", b"\0\0\0\x09{"])
def test_one_that_stops_in_the_middle_counts_as_gone(
    part: bytes, pair: tuple[Channel, socket.socket]
) -> None:
    ours, theirs = pair
    theirs.sendall(part)
    began = time.monotonic()
    with pytest.raises(EOFError):
        ours.receive()
    assert 0.2 < time.monotonic() - began < 5


def test_drops_of_bytes_do_not_put_the_end_off(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(struct.pack("!I", 900) + b" " * 800)
    began = time.monotonic()
    with pytest.raises(EOFError):
        ours.receive()
    assert time.monotonic() - began < 5


def test_a_message_that_is_too_long_is_not_waited_for(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(struct.pack("!I", 0xFFFFFFFF) + b" " * 100)
    began = time.monotonic()
    with pytest.raises(EOFError):
        ours.receive()
    assert time.monotonic() - began < 0.2


def test_one_that_does_not_receive_counts_as_gone(pair: tuple[Channel, socket.socket]) -> None:
    ours, _ = pair
    with pytest.raises(EOFError):
        ours.send(Words(words="x" * 10_000_000))


def test_a_sealed_file_stays_as_it_is() -> None:
    file = channel.create_memory_file([b"pixels"])
    held = os.dup(file)
    assert channel.seal_memory_file(file) == 6
    for change in (
        lambda: os.pwrite(held, b"other", 0),
        lambda: os.ftruncate(held, 0),
        lambda: os.ftruncate(held, 1 << 20),
        lambda: mmap.mmap(held, 6),
    ):
        with pytest.raises(PermissionError):
            change()
    with channel.map_memory_file(file) as content:
        assert content[:] == b"pixels"
    os.close(held)


def test_a_file_that_somebody_has_mapped_cannot_be_sealed() -> None:
    file = channel.create_memory_file([b"pixels"])
    with mmap.mmap(file, 6), pytest.raises(OSError, match="busy"):
        channel.seal_memory_file(file)
    os.close(file)


def test_a_file_of_a_disk_cannot_be_sealed() -> None:
    file = os.open(os.devnull, os.O_RDWR)
    with pytest.raises(OSError, match="Invalid argument"):
        channel.seal_memory_file(file)
    os.close(file)

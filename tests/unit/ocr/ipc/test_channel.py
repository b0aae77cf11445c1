"""A channel to a process that is not trusted: messages end, in time, and files cannot change."""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dsk.ocr.ipc import channel
from dsk.ocr.ipc.channel import BrokenMessage, Channel, Message, create_memory_file

if TYPE_CHECKING:
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


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_message_comes_once_it_is_whole(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    whole = struct.pack("!I", 5) + b"{...}"
    for count in range(len(whole)):
        assert ours.receive_available() is None
        theirs.sendall(whole[count : count + 1])
    assert ours.receive_available() == (b"{...}", None)
    assert ours.receive_available() is None


def test_messages_that_come_together_are_told_apart(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall((struct.pack("!I", 2) + b"{}") * 2 + struct.pack("!I", 0))
    assert [ours.receive_available() for _ in range(4)] == [
        (b"{}", None), (b"{}", None), (b"", None), None,
    ]  # fmt: skip


def test_a_descriptor_comes_with_its_message(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    sender = Channel(theirs.dup())
    file = create_memory_file([b"pixels"])
    for text in ("one", "two"):
        sender.send(Words(words=text), file)
        received = ours.receive_available()
        assert received is not None
        assert received[1] is not None
        assert os.pread(received[1], 9, 0) == b"pixels"
        assert not os.get_inheritable(received[1])
        os.close(received[1])
    os.close(file)
    sender.close()


@pytest.mark.parametrize("receive", ["receive", "receive_available"])
def test_a_message_that_is_too_long_is_not_read(
    receive: str, pair: tuple[Channel, socket.socket]
) -> None:
    ours, theirs = pair
    theirs.sendall(struct.pack("!I", 1001))
    with pytest.raises(BrokenMessage, match="1001 bytes"):
        getattr(ours, receive)()


@pytest.mark.parametrize("receive", ["receive", "receive_available"])
def test_a_sender_that_is_gone_in_the_middle_leaves_no_descriptor(
    receive: str, pair: tuple[Channel, socket.socket]
) -> None:
    ours, theirs = pair
    file = create_memory_file([b"pixels"])
    before = open_files()
    socket.send_fds(theirs, [struct.pack("!I", 5)], [file])
    theirs.sendall(b"{")
    theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(EOFError):
        getattr(ours, receive)()
    assert open_files() == before
    os.close(file)


def test_descriptors_with_each_byte_do_not_pile_up(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    file = create_memory_file([b"pixels"])
    before = open_files()
    for byte in struct.pack("!I", 2) + b"{}":
        socket.send_fds(theirs, [bytes([byte])], [file, file])
        ours.receive_available()
    assert open_files() <= before + 1
    os.close(file)


def test_a_sender_that_stops_in_the_middle_stops_nobody(
    pair: tuple[Channel, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(struct.pack("!I", 5) + b"{")
    began = time.monotonic()
    assert ours.receive_available() is None
    with pytest.raises(BrokenMessage):
        ours.receive()
    assert time.monotonic() - began < 10


def test_a_receiver_without_a_limit_waits(pair: tuple[Channel, socket.socket]) -> None:
    ours, theirs = pair
    waiting = Channel(theirs.dup())
    timer = threading.Timer(0.5, lambda: ours.send(Words(words="late")))
    timer.start()
    assert waiting.receive() == (b'{"words":"late"}', None)
    timer.join()
    waiting.close()

"""Talking between our processes: messages in order, each with at most one open file.

A page's pixels travel as a file in memory whose descriptor goes along with the message: nothing
is copied, nothing has a name that could be left behind, and the memory is free again when the
last process that holds it has closed it, however it ended.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD: Final = struct.Struct("!I")


class Message(BaseModel):
    """What goes over a channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Channel:
    """One end of a connection between two processes.

    Args:
        end: a connected socket of the Unix domain; closed with the channel.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def inherited(cls, descriptor: int) -> Self:
        """The end that this process was started with."""
        return cls(socket.socket(fileno=descriptor))

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """A channel, and its other end for a process that is about to be started."""
        ours, theirs = socket.socketpair()
        return cls(ours), theirs

    def fileno(self) -> int:
        """For `select` and its like."""
        return self._socket.fileno()

    def send(self, message: Message, file: int | None = None) -> None:
        """Send a message, and a descriptor, which stays the caller's to close.

        Raises:
            EOFError: the other process is gone.
        """
        body = message.model_dump_json().encode()
        files = [] if file is None else [file]
        try:
            socket.send_fds(self._socket, [_HEAD.pack(len(body))], files)
            self._socket.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None

    def receive(self) -> tuple[bytes, int | None]:
        """The next message, as it was sent, and a descriptor, the caller's to close.

        Raises:
            EOFError: the other process is gone.
        """
        try:
            head, files, _, _ = socket.recv_fds(self._socket, _HEAD.size, 1)
            file = files[0] if files else None
            try:
                head += self._exactly(_HEAD.size - len(head))
                return self._exactly(_HEAD.unpack(head)[0]), file
            except BaseException:
                if file is not None:
                    os.close(file)
                raise
        except ConnectionResetError:
            raise EOFError from None

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def in_memory(parts: Iterable[bytes | memoryview]) -> int:
    """A file in memory with these bytes one after the other; the caller closes it."""
    file = os.memfd_create("dsk-page")
    try:
        for part in parts:
            left = memoryview(part).cast("B")
            while left:
                left = left[os.write(file, left) :]
    except BaseException:
        os.close(file)
        raise
    return file


def mapped(file: int) -> mmap.mmap:
    """What is in a file in memory, without a copy. The descriptor is closed."""
    try:
        return mmap.mmap(file, 0)
    finally:
        os.close(file)

"""Channel between dsk's own processes: messages in order, each with at most one descriptor.

A page's pixels travel as a file in memory (memfd) whose descriptor is sent along: nothing is
copied, nothing has a name that could be left behind, and the kernel frees the memory when the last
process that holds it has closed it or has died.
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

# A message is its length, 4 bytes in network order, and its JSON.
_LENGTH: Final = struct.Struct("!I")

_CHUNK: Final = 1 << 20  # bytes to receive at once


class Message(BaseModel):
    """Message that a channel carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Channel:
    """One end of a connection between two processes.

    Args:
        end: a connected Unix domain socket; closed with the channel.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def inherited(cls, descriptor: int) -> Self:
        """Return the end that this process inherited as a descriptor."""
        return cls(socket.socket(fileno=descriptor))

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """Return a channel and its other end, for a process that is about to be started."""
        ours, theirs = socket.socketpair()
        return cls(ours), theirs

    def fileno(self) -> int:
        """Return the descriptor, for `select` and its like."""
        return self._socket.fileno()

    def send(self, message: Message, file: int | None = None) -> None:
        """Send a message.

        Args:
            message: the message.
            file: a descriptor to send along; the caller still has to close its own.

        Raises:
            EOFError: the other process is gone.
        """
        body = message.model_dump_json().encode()
        files = [] if file is None else [file]
        try:
            # The descriptor goes with the length alone: ancillary data needs at least one byte, and
            # sendmsg may send a part only, which `sendall` then could not go on with. Four bytes
            # are sent whole.
            socket.send_fds(self._socket, [_LENGTH.pack(len(body))], files)
            self._socket.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None

    def receive(self) -> tuple[bytes, int | None]:
        """Wait for the next message; return its JSON and its descriptor, the caller's to close.

        Raises:
            EOFError: the other process is gone.
        """
        try:
            head, files, _, _ = socket.recv_fds(self._socket, _LENGTH.size, 1)
            file = files[0] if files else None
            try:
                head += self._receive_exactly(_LENGTH.size - len(head))
                return self._receive_exactly(_LENGTH.unpack(head)[0]), file
            except BaseException:
                # The sender died in the middle of a message: its pixels must not stay in memory.
                if file is not None:
                    os.close(file)
                raise
        except ConnectionResetError:
            # What a socket says in place of an end of file when its peer died with data unread.
            raise EOFError from None

    def close(self) -> None:
        """Close this end; the other process receives an end of file."""
        self._socket.close()

    def _receive_exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            chunk = self._socket.recv(min(count - len(received), _CHUNK))
            if not chunk:
                raise EOFError
            received += chunk
        return bytes(received)


def create_memory_file(parts: Iterable[bytes | memoryview]) -> int:
    """Create a file in memory from consecutive parts; return its descriptor, the caller's."""
    file = os.memfd_create("dsk-page")
    try:
        for part in parts:
            left = memoryview(part).cast("B")
            while left:  # write may stop short, at 2 GiB for one
                left = left[os.write(file, left) :]
    except BaseException:
        os.close(file)
        raise
    return file


def map_memory_file(file: int) -> mmap.mmap:
    """Map a file in memory, without a copy; its descriptor is closed."""
    try:
        return mmap.mmap(file, 0)
    finally:
        # The mapping holds the memory by itself, and descriptors are few: 1024 by default.
        os.close(file)

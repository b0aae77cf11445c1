"""Channel between dsk's own processes: messages in order, each with at most one descriptor.

A page's pixels travel as a file in memory (memfd) whose descriptor is sent along: nothing is
copied, nothing has a name that could be left behind, and the kernel frees the memory when the last
process that holds it has closed it or has died.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

# A message is its length, 4 bytes in network order, and its JSON.
_LENGTH: Final = struct.Struct("!I")

_CHUNK: Final = 1 << 20  # bytes to receive at once
MAX_BYTES: Final = 64 << 20
"""Longest message, unless a channel is told otherwise: a page's text has some thousand bytes."""


class BrokenMessage(EOFError):
    """Bytes that are no message of a channel's, or a message that does not come whole."""


class Message(BaseModel):
    """Message that a channel carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Channel:
    """One end of a connection between two processes.

    Args:
        end: a connected Unix domain socket; closed with the channel.
        max_bytes: longest message to receive.
        seconds: longest time that a message may take once it has begun; None waits.
    """

    def __init__(
        self, end: socket.socket, *, max_bytes: int = MAX_BYTES, seconds: float | None = None
    ) -> None:
        self._socket = end
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._head = bytearray()
        self._body = bytearray()
        self._file: int | None = None

    @classmethod
    def inherited(cls, descriptor: int) -> Self:
        """Return the end that this process inherited as a descriptor."""
        # Programs that it starts shall not hold the connection open when it has ended.
        os.set_inheritable(descriptor, False)
        return cls(socket.socket(fileno=descriptor))

    @classmethod
    def pair(
        cls, *, max_bytes: int = MAX_BYTES, seconds: float | None = None
    ) -> tuple[Self, socket.socket]:
        """Return a channel and its other end, for a process that is about to be started."""
        ours, theirs = socket.socketpair()
        return cls(ours, max_bytes=max_bytes, seconds=seconds), theirs

    def fileno(self) -> int:
        """Return the descriptor, for `select` and its like."""
        return self._socket.fileno()

    def send(self, message: Message, file: int | None = None) -> None:
        """Send a message.

        Args:
            message: the message.
            file: a descriptor to send along; the caller still has to close its own.

        Raises:
            EOFError: the other process is gone, or does not receive.
        """
        self.send_body(message.model_dump_json().encode(), file)

    def send_body(self, body: bytes, file: int | None = None) -> None:
        """Send a message that is JSON already; see `send`."""
        files = [] if file is None else [file]
        self._socket.settimeout(self._seconds)
        try:
            # The descriptor goes with the length alone: ancillary data needs at least one byte, and
            # sendmsg may send a part only, which `sendall` then could not go on with. Four bytes
            # are sent whole.
            socket.send_fds(self._socket, [_LENGTH.pack(len(body))], files)
            self._socket.sendall(body)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            raise EOFError from None

    def receive(self) -> tuple[bytes, int | None]:
        """Wait for the next message; return its JSON and its descriptor, the caller's to close.

        Raises:
            EOFError: the other process is gone.
            BrokenMessage: its message takes too long, or is too long.
        """
        self._socket.settimeout(None)
        deadline = None
        try:
            while True:
                if self._head and self._seconds is not None:
                    deadline = deadline or time.monotonic() + self._seconds
                    self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                if self._advance():
                    break
        except TimeoutError:
            self._drop_file()
            raise BrokenMessage from None
        return self._take()

    def receive_available(self) -> tuple[bytes, int | None] | None:
        """Return the next message as `receive` does; None if it has not come whole yet.

        Raises:
            EOFError: the other process is gone.
            BrokenMessage: its message is too long.
        """
        # A process that stops in the middle of a message must not stop whoever reads it.
        self._socket.settimeout(0)
        try:
            while not self._advance():
                pass
        except BlockingIOError:
            return None
        return self._take()

    def close(self) -> None:
        """Close this end; the other process receives an end of file."""
        self._drop_file()
        self._socket.close()

    def _advance(self) -> bool:
        """Read on in the message that is coming; return True if it is whole."""
        try:
            if len(self._head) < _LENGTH.size:
                self._read_head()
            elif self._missing:
                self._body += _not_empty(self._socket.recv(min(self._missing, _CHUNK)))
        except (ConnectionResetError, EOFError) as error:
            # The sender died in the middle of a message: its pixels must not stay in memory. A
            # reset is what a socket says in place of an end of file when it died with data unread.
            self._drop_file()
            raise error if isinstance(error, EOFError) else EOFError from None
        return len(self._head) == _LENGTH.size and not self._missing

    def _read_head(self) -> None:
        # Never past the message's end: the next message's descriptor comes with its first byte.
        count = _LENGTH.size - len(self._head)
        head, files, _, _ = socket.recv_fds(self._socket, count, 1)
        if files:
            self._drop_file()
            self._file = files[0]
            # recv_fds takes flags and passes none on (3.11), so MSG_CMSG_CLOEXEC has no effect.
            os.set_inheritable(self._file, False)
        self._head += _not_empty(head)
        if len(self._head) == _LENGTH.size and self._missing > self._max_bytes:
            what = f"a message of {self._missing} bytes"
            raise BrokenMessage(what)

    @property
    def _missing(self) -> int:
        """Number of bytes that the body still lacks."""
        length: int = _LENGTH.unpack(self._head)[0]
        return length - len(self._body)

    def _take(self) -> tuple[bytes, int | None]:
        body, file = bytes(self._body), self._file
        self._head.clear()
        self._body.clear()
        self._file = None
        return body, file

    def _drop_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _not_empty(received: bytes) -> bytes:
    if not received:
        raise EOFError
    return received


def create_memory_file(parts: Iterable[bytes | memoryview]) -> int:
    """Create a file in memory from consecutive parts; return its descriptor, the caller's."""
    file = os.memfd_create("dsk-page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for part in parts:
            left = memoryview(part).cast("B")
            while left:  # write may stop short, at 2 GiB for one
                left = left[os.write(file, left) :]
    except BaseException:
        os.close(file)
        raise
    return file


def seal_memory_file(file: int) -> int:
    """Make a file in memory unchangeable, for its creator too; return its size in bytes.

    Raises:
        OSError: it is no such file, or somebody has mapped it to write to it.
    """
    # A creator that shrank it later would end whoever has mapped it with SIGBUS.
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return os.fstat(file).st_size


def map_memory_file(file: int) -> mmap.mmap:
    """Map a file in memory, without a copy; its descriptor is closed."""
    try:
        # Private, since a sealed file cannot be mapped to be written to.
        return mmap.mmap(file, 0, flags=mmap.MAP_PRIVATE)
    finally:
        # The mapping holds the memory by itself, and descriptors are few: 1024 by default.
        os.close(file)

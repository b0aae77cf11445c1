"""Random access to a file on a server by range requests: a wheel's directory, not all of it."""

from __future__ import annotations

import io
import re
from typing import IO, Final

import httpx

_PIECE: Final = 1 << 18  # bytes; a wheel's directory is mostly smaller


def open_url(client: httpx.Client, url: str) -> IO[bytes]:
    """Open the file at a URL for reading and seeking; fetch it whole if there are no ranges.

    Raises:
        httpx.HTTPError: the server does not give it.
    """
    # The answer shows whether the server has ranges, and how long the file is.
    last = _get(client, url, "bytes=-1")
    if last.status_code != httpx.codes.PARTIAL_CONTENT:
        return io.BytesIO(last.content)
    length = re.fullmatch(r"bytes \d+-\d+/(\d+)", last.headers.get("Content-Range", ""))
    if length is None:
        msg = "the server does not give the length of the file"
        raise httpx.RemoteProtocolError(msg)
    return io.BufferedReader(_RangeReader(client, url, int(length[1])), _PIECE)


def _get(client: httpx.Client, url: str, byte_range: str) -> httpx.Response:
    # A range of a compressed body would count compressed bytes.
    headers = {"Range": byte_range, "Accept-Encoding": "identity"}
    return client.get(url, headers=headers).raise_for_status()


class _RangeReader(io.RawIOBase):
    """A file on a server, one request a read."""

    def __init__(self, client: httpx.Client, url: str, size: int) -> None:
        self._client, self._url, self._size, self._at = client, url, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fetch as many bytes as the buffer holds."""
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        answer = _get(self._client, self._url, f"bytes={self._at}-{end - 1}")
        piece = answer.content
        # A server may ignore the range, and then sends the whole file.
        if answer.status_code != httpx.codes.PARTIAL_CONTENT or len(piece) != end - self._at:
            msg = f"the server gave {len(piece)} bytes, asked for {end - self._at}"
            raise httpx.RemoteProtocolError(msg)
        buffer[: len(piece)] = piece
        self._at = end
        return len(piece)

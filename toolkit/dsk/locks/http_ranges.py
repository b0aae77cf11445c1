"""A file on a server, read in the pieces that are asked for: a wheel's directory, not all of it."""

from __future__ import annotations

import io
import re
from typing import IO, Final

import httpx

_PIECE: Final = 1 << 18  # bytes; a wheel's directory is mostly smaller


def opened(client: httpx.Client, url: str) -> IO[bytes]:
    """The file at an address, readable and seekable; fetched whole where there are no ranges.

    Raises:
        httpx.HTTPError: the server does not give it.
    """
    last = _asked(client, url, "bytes=-1")
    if last.status_code != httpx.codes.PARTIAL_CONTENT:
        return io.BytesIO(last.content)
    found = re.fullmatch(r"bytes \d+-\d+/(\d+)", last.headers.get("Content-Range", ""))
    if found is None:
        msg = "the server does not say how long the file is"
        raise httpx.RemoteProtocolError(msg)
    return io.BufferedReader(_Pieces(client, url, int(found[1])), _PIECE)


def _asked(client: httpx.Client, url: str, pieces: str) -> httpx.Response:
    headers = {"Range": pieces, "Accept-Encoding": "identity"}
    return client.get(url, headers=headers).raise_for_status()


class _Pieces(io.RawIOBase):
    """Every read is one request."""

    def __init__(self, client: httpx.Client, url: str, size: int) -> None:
        self._client, self._url, self._size, self._at = client, url, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes from the beginning."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As files do."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fetch as much as the buffer holds."""
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        answer = _asked(self._client, self._url, f"bytes={self._at}-{end - 1}")
        piece = answer.content
        if answer.status_code != httpx.codes.PARTIAL_CONTENT or len(piece) != end - self._at:
            msg = f"the server gave {len(piece)} bytes, asked for {end - self._at}"
            raise httpx.RemoteProtocolError(msg)
        buffer[: len(piece)] = piece
        self._at = end
        return len(piece)

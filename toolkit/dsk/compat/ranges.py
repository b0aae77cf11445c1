"""A file on a server, read in the pieces that are asked for: a wheel's directory, not all of it."""

from __future__ import annotations

import io
import re
import urllib.request
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from typing import IO

_SECONDS: Final = 60.0
_PIECE: Final = 1 << 18  # bytes; a wheel's directory is mostly smaller


def opened(opener: urllib.request.OpenerDirector, url: str) -> IO[bytes]:
    """The file at an address, readable and seekable; fetched whole where there are no ranges.

    Raises:
        OSError: the server does not give it.
    """
    last = _asked(opener, url, "bytes=-1")
    with last:
        if last.status != 206:
            return io.BytesIO(last.read())
    found = re.fullmatch(r"bytes \d+-\d+/(\d+)", last.headers.get("Content-Range", ""))
    if found is None:
        msg = "the server does not say how long the file is"
        raise ConnectionError(msg)
    return io.BufferedReader(_Pieces(opener, url, int(found[1])), _PIECE)


def _asked(opener: urllib.request.OpenerDirector, url: str, pieces: str) -> HTTPResponse:
    request = urllib.request.Request(url, headers={"Range": pieces})  # noqa: S310 the index's own
    answer: HTTPResponse = opener.open(request, timeout=_SECONDS)
    return answer


class _Pieces(io.RawIOBase):
    """Every read is one request."""

    def __init__(self, opener: urllib.request.OpenerDirector, url: str, size: int) -> None:
        self._opener, self._url, self._size, self._at = opener, url, size, 0

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
        with _asked(self._opener, self._url, f"bytes={self._at}-{end - 1}") as answer:
            piece = answer.read()
        if answer.status != 206 or len(piece) != end - self._at:
            msg = f"the server gave {len(piece)} bytes, asked for {end - self._at}"
            raise ConnectionError(msg)
        buffer[: len(piece)] = piece
        self._at = end
        return len(piece)

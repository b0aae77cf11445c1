"""HTTP client of the hub or a mirror: its answers are bounded, and it alone gets the token."""

from __future__ import annotations

import os
import time
from typing import IO, TYPE_CHECKING, Final, Self
from urllib.parse import quote

from dsk.errors import UsageProblem, VerificationFailed
from dsk.network import is_loopback
from dsk.urls import without_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

_ENDPOINT: Final = "https://huggingface.co"
_LISTING_BYTES: Final = 1 << 24
_LISTING_SECONDS: Final = 60.0
_MOST_REDIRECTS: Final = 5
_CHUNK: Final = 1 << 16
# A transfer that brings fewer bytes in this time has stalled.
_STALL_SECONDS: Final = 120.0
_STALL_BYTES: Final = 1 << 16

_OK: Final = 200
_PARTIAL: Final = 206


class HubRefused(Exception):
    """An answer that is no success; ``code`` is the hub's own, such as ``RevisionNotFound``."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.code = code


class HubClient:
    """Client of ``HF_ENDPOINT``, or of the hub. A context manager.

    Raises:
        UsageProblem: the token of ``HF_TOKEN`` would travel without encryption.
    """

    def __init__(self) -> None:
        import httpx
        from huggingface_hub import get_token

        # Not huggingface_hub's own functions: they read answers of any size into memory, and a
        # mirror decides by its headers what they take for the listed file.
        self._endpoint = (os.environ.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/")
        try:
            self._origin = httpx.URL(self._endpoint)
        except httpx.InvalidURL:
            self._origin = httpx.URL("")
        if self._origin.scheme not in ("http", "https") or not self._origin.host:
            what = f"HF_ENDPOINT is '{without_user(self._endpoint)}', which is no address"
            raise UsageProblem(what, do="write it like https://mirror.example")
        token = get_token()
        if token and self._origin.scheme == "http" and not is_loopback(self._origin.host):
            what = f"HF_ENDPOINT is {without_user(self._endpoint)}, without encryption"
            raise UsageProblem(what, do="name it with https://, or unset HF_TOKEN")
        self._token = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(timeout=httpx.Timeout(30, connect=10))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def listing(self, hub: str, revision: str) -> bytes:
        """Return the JSON of a revision and its files.

        Raises:
            HubRefused: there is no such revision, or it is not for everybody.
            VerificationFailed: the answer has no end.
            httpx.HTTPError: the hub cannot be reached.
        """
        path = f"/api/models/{quote(hub)}/revision/{quote(revision, safe='')}?blobs=true"
        deadline = time.monotonic() + _LISTING_SECONDS
        content = bytearray()
        response = self._get(path, {})
        try:
            _ensure_success(response)
            for chunk in response.iter_raw(_CHUNK):
                content += chunk
                if len(content) > _LISTING_BYTES or time.monotonic() > deadline:
                    what = f"the hub's list of the files of {hub} does not end"
                    raise VerificationFailed(what, do="set HF_ENDPOINT to another mirror")
        finally:
            response.close()
        return bytes(content)

    def download(
        self,
        hub: str,
        commit: str,
        path: str,
        stream: IO[bytes],
        *,
        size: int,
        progress: Callable[[int], None],
    ) -> None:
        """Append the rest of a file to a stream, at most one byte more than ``size`` in all.

        Args:
            progress: called with the bytes that the stream has.

        Raises:
            HubRefused: the hub does not give the file.
            httpx.HTTPError: the transfer broke off, or stalled.
        """
        import httpx

        start = stream.seek(0, os.SEEK_END)
        wanted = {"Range": f"bytes={start}-"} if start else {}
        response = self._get(f"/{quote(hub)}/resolve/{commit}/{quote(path)}", wanted)
        try:
            _ensure_success(response)
            if response.status_code != _PARTIAL and start:
                stream.truncate(0)  # it sends the whole file
            received, since, before = stream.seek(0, os.SEEK_END), time.monotonic(), start
            for chunk in response.iter_raw(_CHUNK):
                # The byte too many shows that the file is longer, however long it is.
                stream.write(chunk[: max(size + 1 - received, 0)])
                received += len(chunk)
                progress(min(received, size))
                if received > size:
                    return
                now = time.monotonic()
                if received - before >= _STALL_BYTES:
                    since, before = now, received
                elif now - since > _STALL_SECONDS:
                    what = f"only {received - before} bytes in {_STALL_SECONDS:.0f} s"
                    raise httpx.ReadTimeout(what)
        finally:
            response.close()

    def _get(self, path: str, headers: Mapping[str, str]) -> httpx.Response:
        """Return an answer whose body is not read yet, after the redirects that are allowed."""
        import httpx

        url = httpx.URL(self._endpoint + path)
        for _ in range(_MOST_REDIRECTS):
            # The token is for the hub, not for the store of large files that it redirects to.
            is_hub = _origin(url) == _origin(self._origin)
            # A compressed transfer has no length, could not be resumed, and may be a bomb.
            sent = {"Accept-Encoding": "identity", **headers, **(self._token if is_hub else {})}
            request = self._client.build_request("GET", url, headers=sent)
            response = self._client.send(request, stream=True, follow_redirects=False)
            if not response.is_redirect:
                return response
            response.close()
            target = url.join(response.headers["Location"])
            if target.scheme != "https" and _origin(target) != _origin(self._origin):
                what = f"the hub redirects to {target.scheme}://{target.host}, without encryption"
                raise VerificationFailed(what, do="set HF_ENDPOINT to another mirror")
            url = target
        what = f"more than {_MOST_REDIRECTS} redirects"
        raise httpx.TooManyRedirects(what)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _ensure_success(response: httpx.Response) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if response.status_code not in (_OK, _PARTIAL):
        raise HubRefused(response.status_code, response.headers.get("X-Error-Code", ""))
    if encoding not in ("identity", ""):
        what = "the hub compresses its answers, which was not asked for"
        raise VerificationFailed(what, do="set HF_ENDPOINT to another mirror")

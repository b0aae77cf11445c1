"""What a registry says an image's tag means, over its HTTP interface; nothing is pulled."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

import httpx

from dsk import processes
from dsk.errors import EngineMissing, MatrixInvalid
from dsk.images.local_images import docker
from dsk.network import is_loopback

_SECONDS: Final = 30.0
_KINDS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_REFERENCE: Final = re.compile(
    r"(?:(?P<host>localhost(?::\d+)?|[\w-]+(?:\.[\w-]+)+(?::\d+)?|[\w-]+:\d+|\[[0-9a-f:]+\]:\d+)/)?"
    r"(?P<name>[a-z0-9._/-]+):(?P<tag>[\w][\w.-]{0,127})"
)
_HUB: Final = "docker.io"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An image by registry, repository and tag; no registry is the engine's own default."""

    host: str
    name: str
    tag: str


def parsed(text: str) -> Reference:
    """An image reference with a tag.

    Raises:
        MatrixInvalid: it is none.
    """
    found = _REFERENCE.fullmatch(text)
    if not found:
        what = f"'{text}' is no image reference with a tag"
        raise MatrixInvalid(what, do="write repository:tag, with the registry before it if any")
    host, name = found["host"] or "", found["name"]
    host = "" if host == _HUB else host
    if not host and "/" not in name:
        name = f"library/{name}"
    return Reference(host=host, name=name, tag=found["tag"])


class Registry:
    """The registries that are asked; a context manager."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=_SECONDS, follow_redirects=True)
        self._local = httpx.Client(timeout=_SECONDS, trust_env=False)  # no proxy to ourselves

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()
        self._local.close()

    def digest(self, reference: str, at: str | None = None) -> str | None:
        """What a tag means now, ``sha256:...``; None where the registry has no such thing.

        Args:
            reference: the image with its tag.
            at: a digest to ask for in place of the tag.

        Raises:
            EngineMissing: the registry does not answer, or not as registries do.
            MatrixInvalid: the reference is none.
        """
        image = parsed(reference)
        url = f"{_address(image.host)}/v2/{image.name}/manifests/{at or image.tag}"
        answer = self._get(url)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if not answer.is_success:
            what = f"the registry of {reference} answers {answer.status_code}"
            raise EngineMissing(what, do="check the name, and that it may be pulled by anybody")
        return f"sha256:{hashlib.sha256(answer.content).hexdigest()}"

    def _get(self, url: str) -> httpx.Response:
        local = is_loopback(urlsplit(url).hostname or "")
        client = self._local if local else self._client
        headers = {"Accept": _KINDS}
        try:
            answer = client.get(url, headers=headers)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                token = self._token(answer.headers.get("WWW-Authenticate", ""))
                answer = client.get(url, headers=headers | {"Authorization": f"Bearer {token}"})
        except httpx.HTTPError as error:
            what = f"the registry at {urlsplit(url).netloc} does not answer ({error})"
            raise EngineMissing(what, do="check the network, and again") from error
        return answer

    def _token(self, challenge: str) -> str:
        """What a registry gives anybody who asks, to pull what is public."""
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in asked:
            what = "the registry wants a name and a password"
            raise EngineMissing(what, do="use one that gives this image to anybody")
        realm = asked.pop("realm")
        told = self._client.get(
            realm, params={k: asked[k] for k in ("service", "scope") if k in asked}
        )
        try:
            found = told.json()
            token: str = found.get("token") or found["access_token"]
        except (ValueError, KeyError, AttributeError) as error:
            what = f"{urlsplit(realm).netloc} gives no token for the registry"
            raise EngineMissing(what, do="check the image's name") from error
        return token


def _address(host: str) -> str:
    """A registry's URL: plain HTTP on this machine alone, as docker has it."""
    if not host:
        return _default()
    name = urlsplit(f"//{host}").hostname or ""
    return f"{'http' if is_loopback(name) else 'https'}://{host}"


def _default() -> str:
    """The registry of references that name none: the engine's mirror, or its index."""
    told = processes.capture([docker(), "info", "--format", "{{json .}}"], seconds=_SECONDS)
    try:
        info = json.loads(told.stdout)
        mirrors = (info.get("RegistryConfig") or {}).get("Mirrors") or []
        address = urlsplit(mirrors[0] if mirrors else info["IndexServerAddress"])
    except (ValueError, KeyError) as error:
        what = "the Docker engine does not say where images without a registry come from"
        raise EngineMissing(what, do="dsk doctor says whether it runs") from error
    return f"{address.scheme}://{address.netloc}"

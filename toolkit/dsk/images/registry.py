"""Client of image registries: resolves tags to digests over HTTP; nothing is pulled."""

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
_MANIFESTS: Final = ", ".join(
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
class ImageReference:
    """Registry, repository and tag of an image; an empty registry is the engine's default."""

    host: str
    name: str
    tag: str


def parse(text: str) -> ImageReference:
    """Parse an image reference with a tag.

    Raises:
        MatrixInvalid: the text is not one.
    """
    match = _REFERENCE.fullmatch(text)
    if not match:
        what = f"'{text}' is not an image reference with a tag"
        raise MatrixInvalid(what, do="write repository:tag or registry/repository:tag")
    host, name = match["host"] or "", match["name"]
    host = "" if host == _HUB else host
    if not host and "/" not in name:  # Docker Hub's official images
        name = f"library/{name}"
    return ImageReference(host=host, name=name, tag=match["tag"])


class Registry:
    """A client for all registries; a context manager."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=_SECONDS, follow_redirects=True)
        self._local = httpx.Client(timeout=_SECONDS, trust_env=False)  # no proxy to ourselves

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()
        self._local.close()

    def digest(self, reference: str, at: str | None = None) -> str | None:
        """Return the digest of a tag, ``sha256:...``; None if the registry does not have it.

        Args:
            reference: the image with its tag.
            at: a digest to look up instead of the tag.

        Raises:
            EngineMissing: the registry does not answer, or refuses.
            MatrixInvalid: the reference is invalid.
        """
        image = parse(reference)
        url = f"{_address(image.host)}/v2/{image.name}/manifests/{at or image.tag}"
        answer = self._get(url)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if not answer.is_success:
            what = f"the registry of {reference} answers {answer.status_code}"
            raise EngineMissing(what, do="check the name, and that the image is public")
        # The digest is by definition that of the manifest's bytes; the header that repeats it is
        # optional.
        return f"sha256:{hashlib.sha256(answer.content).hexdigest()}"

    def _get(self, url: str) -> httpx.Response:
        local = is_loopback(urlsplit(url).hostname or "")
        # A proxy of the environment cannot reach this machine's own registry.
        client = self._local if local else self._client
        headers = {"Accept": _MANIFESTS}
        try:
            answer = client.get(url, headers=headers)
            # Docker Hub and others want a token even for public images, given to anybody.
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                token = self._token(answer.headers.get("WWW-Authenticate", ""))
                answer = client.get(url, headers=headers | {"Authorization": f"Bearer {token}"})
        except httpx.HTTPError as error:
            what = f"the registry at {urlsplit(url).netloc} does not answer ({error})"
            raise EngineMissing(what, do="check the network, then try again") from error
        return answer

    def _token(self, challenge: str) -> str:
        """Return a token for anonymous pulls, from the service that a challenge names."""
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in fields:
            what = "the registry requires a user name and a password"
            raise EngineMissing(what, do="use a registry where this image is public")
        realm = fields["realm"]
        parameters = {name: fields[name] for name in ("service", "scope") if name in fields}
        answer = self._client.get(realm, params=parameters)
        try:
            body = answer.json()
            token: str = body.get("token") or body["access_token"]
        except (ValueError, KeyError, AttributeError) as error:
            what = f"{urlsplit(realm).netloc} gave no token for the registry"
            raise EngineMissing(what, do="check the image's name") from error
        return token


def _address(host: str) -> str:
    """Return a registry's URL: like docker, plain HTTP only for this machine."""
    if not host:
        return _default()
    name = urlsplit(f"//{host}").hostname or ""
    return f"{'http' if is_loopback(name) else 'https'}://{host}"


def _default() -> str:
    """Return the URL of the engine's default registry: its mirror, or else its index."""
    ended = processes.capture([docker(), "info", "--format", "{{json .}}"], seconds=_SECONDS)
    try:
        info = json.loads(ended.stdout)
        mirrors = (info.get("RegistryConfig") or {}).get("Mirrors") or []
        address = urlsplit(mirrors[0] if mirrors else info["IndexServerAddress"])
    except (ValueError, KeyError) as error:
        what = "the Docker engine does not name its default registry"
        raise EngineMissing(what, do="run dsk doctor to see if it works") from error
    return f"{address.scheme}://{address.netloc}"

"""Access: the key that a request must carry, and web pages that use a server without a key."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dsk.network import is_loopback
from dsk.vllm_plugin.gate.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

_SCHEME = b"bearer "


def check_access(headers: Headers, key: str, host: str) -> None:
    """Check a request's key or, where the server has none, that no web page sent it.

    Args:
        headers: the request's.
        key: the server's key; empty for none.
        host: the address that the server listens on.

    Raises:
        Refusal: the key is missing or wrong, or a web page elsewhere sent the request.
    """
    if key:
        if not has_key(headers, key):
            message = "this server needs its API key: send 'Authorization: Bearer KEY'"
            raise Refusal(401, message, www_authenticate="Bearer")
    else:
        refuse_web_pages(headers, host)


def has_key(headers: Headers, key: str) -> bool:
    """Return True if a request carries the key, in one ``Authorization`` header."""
    values = list(values_of(headers, b"authorization"))
    # Of two such headers a proxy might check one and vLLM the other.
    if len(values) != 1:
        return False
    scheme, given = values[0][: len(_SCHEME)], values[0][len(_SCHEME) :]
    # Compared in constant time: how long a refusal takes tells nothing about the key.
    return hmac.compare_digest(given, key.encode()) and scheme.lower() == _SCHEME


def refuse_web_pages(headers: Headers, host: str) -> None:
    """Refuse what a browser sends for a web page to a server of this machine that has no key.

    Raises:
        Refusal: the request names another host, or comes from a page of another origin.
    """
    # A name that an attacker's DNS points at 127.0.0.1 (rebinding) makes a foreign page's requests
    # same-origin: the name still stands in Host.
    named = list(values_of(headers, b"host"))
    if len(named) != 1 or not _is_here(_host_of(b"//" + named[0]), host):
        message = "the Host header names another machine: use http://127.0.0.1 or set an API key"
        raise Refusal(403, message)
    for origin in values_of(headers, b"origin"):
        if _address_in(origin) != named[0]:
            raise Refusal(403, "web pages may not use this server: set an API key")
    # Images and scripts are fetched without Origin.
    if any(site not in (b"same-origin", b"none") for site in values_of(headers, b"sec-fetch-site")):
        raise Refusal(403, "web pages may not use this server: set an API key")


def values_of(headers: Headers, name: bytes) -> Iterable[bytes]:
    """Yield the values of a header, which ASGI names in lower case."""
    return (value for header, value in headers if header.lower() == name)


def _address_in(origin: bytes) -> bytes:
    """Return the host and port of an origin; nothing where it has none, as ``null``."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.encode("latin-1")
    except ValueError:
        return b""


def _host_of(address: bytes) -> str:
    try:
        return urlsplit(address.decode("latin-1")).hostname or ""
    except ValueError:
        return ""


def _is_here(name: str, host: str) -> bool:
    return is_loopback(name) or name == host.lower()

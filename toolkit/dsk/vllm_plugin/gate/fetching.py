"""Images by URL, for a server that allows them: fetched here, from public addresses alone.

vLLM gets the bytes, never the URL, so that the limits hold whoever answers.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx

from dsk.vllm_plugin.gate.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FETCH_SECONDS: Final = 20.0
_PORTS: Final = {"http": 80, "https": 443}
# IPv4 addresses as a network of IPv6 reaches them (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# All that is assigned to the public Internet (RFC 4291). Python calls site-local addresses global.
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# What clouds tell and entrust to their machines, at addresses that are not private: Oracle's, which
# Python before 3.11.10 calls global, and Azure's, which is.
_CLOUDS: Final = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("168.63.129.16/32"),
)
_FAILED: Final = "an image could not be fetched from its URL"

# Not the loop's own threads, in which vLLM 0.8.5 decodes images: a name server that does not answer
# holds one for half a minute, whoever waits.
_RESOLVERS: Final = ThreadPoolExecutor(4, thread_name_prefix="dsk-names")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: _Address) -> bool:
    """Return True if an address is of the public Internet: no private, local or special one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    is_cloud = any(address in network for network in _CLOUDS)
    return address.is_global and not address.is_multicast and not is_cloud


def is_elsewhere(address: _Address) -> bool:
    """Return True if an address is public and not one of this machine's own.

    What listens on all interfaces may trust this machine more than a firewall lets others in.
    """
    if not is_public(address):
        return False
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            # Nothing is sent: the kernel chooses the address that packets would come from, which
            # is the same one if they never leave.
            trial.connect((str(address), 9))
        except OSError:
            return False
        return ipaddress.ip_address(trial.getsockname()[0]) != address


async def fetch(
    url: str,
    limit: int,
    *,
    arrived: Callable[[int], Awaitable[None]],
    allowed: Callable[[_Address], bool] = is_elsewhere,
) -> bytes:
    """Return what stands at a URL. No redirect is followed, no proxy used.

    Args:
        url: of the scheme http or https.
        limit: the most bytes.
        arrived: waited for with the bytes so far, before more are read.
        allowed: decides about the server's address.

    Raises:
        Refusal: it is another kind of URL, leads elsewhere than to allowed addresses, or gives no
            answer, or a longer one.
    """
    parts = _checked(url)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            address = await _address(parts, allowed)
            return await _get(parts, address, limit, arrived)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, UnicodeError):
        raise Refusal(400, _FAILED) from None


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        port = parts.port  # raises for one out of range
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), 0
    # Credentials would be sent on; port 0 and other scripts are only ever written to confuse.
    is_plain = parts.username is None and port != 0 and url.isascii()
    if parts.scheme not in _PORTS or not parts.hostname or not is_plain:
        raise Refusal(400, "an image's URL is not a plain http: or https: URL")
    return parts


async def _address(parts: SplitResult, allowed: Callable[[_Address], bool]) -> _Address:
    loop = asyncio.get_running_loop()
    port = parts.port or _PORTS[parts.scheme]
    resolve = functools.partial(socket.getaddrinfo, type=socket.SOCK_STREAM)
    found = await loop.run_in_executor(_RESOLVERS, resolve, parts.hostname, port)
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    # All of them: a name of a public and a private address is an attack, too.
    if not addresses or not all(map(allowed, addresses)):
        raise Refusal(400, _FAILED)
    return addresses[0]


async def _get(
    parts: SplitResult, address: _Address, limit: int, arrived: Callable[[int], Awaitable[None]]
) -> bytes:
    # Connected to the address that was checked: the name may lead elsewhere when asked again.
    host = f"[{address}]" if address.version == 6 else str(address)
    port = f":{parts.port}" if parts.port else ""
    url = urlunsplit((parts.scheme, host + port, parts.path or "/", parts.query, ""))
    headers = {"Host": f"{parts.hostname}{port}", "Accept-Encoding": "identity"}
    name = {"sni_hostname": parts.hostname}
    body = bytearray()
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=FETCH_SECONDS) as client,
        client.stream("GET", url, headers=headers, extensions=name) as response,
    ):
        if response.status_code != httpx.codes.OK or "content-encoding" in response.headers:
            raise Refusal(400, _FAILED)
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > limit:
                raise Refusal(400, _FAILED)
            await arrived(len(body))
    return bytes(body)

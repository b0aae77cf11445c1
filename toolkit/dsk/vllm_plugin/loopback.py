"""Sockets of engine processes: every one of them listens on the loopback device alone.

vLLM's processes meet through torch's ``TCPStore``, which has no authentication. It listens on all
interfaces even for ``tcp://127.0.0.1`` (torch 2.6.0 and 2.13.0, measured), so whoever reaches the
machine could write into it.
"""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, Any, Final

from dsk.network import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

# Engines of dsk run on one machine, whatever a cluster's profile says of its fast network. vLLM
# takes its own address from the first variable, and gloo and NCCL the interface they listen on.
ENVIRONMENT: Final = {
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",
}

_WRAPPED: Final = "_dsk_listens_on_loopback"


def apply() -> None:
    """Let torch's stores at loopback addresses listen there alone; a second call does nothing."""
    from torch import distributed

    if not distributed.is_available():
        return
    store = distributed.TCPStore
    if not hasattr(store.__init__, _WRAPPED):
        # The class itself is changed: vLLM's modules have imported it under names of their own.
        store.__init__ = listening_on_loopback(store.__init__)


def listening_on_loopback(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of torch's ``TCPStore``: bind the listening socket to its host name.

    Stores at other addresses, and those that were given a socket, are made as before: a plugin is
    loaded for models on many machines, too.
    """

    @functools.wraps(original)
    def init(
        self: Any,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        *more: Any,
        **options: Any,
    ) -> None:
        # More positional arguments than a timeout and two flags end in a socket.
        has_socket = options.get("master_listen_fd") is not None or len(more) > _FLAGS
        if is_master and is_loopback(host_name) and not has_socket:
            listening = _listening_socket(host_name, port)
            # The store refuses a socket of another port than the one it was given.
            port = listening.getsockname()[1]
            # libuv's server takes no socket in torch 2.6; the older server does in every release.
            options |= {"use_libuv": False, "master_listen_fd": listening.detach()}
        original(self, host_name, port, world_size, is_master, *more, **options)

    setattr(init, _WRAPPED, True)
    return init


_FLAGS: Final = 3


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening

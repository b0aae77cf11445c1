"""Stores of torch's kind: those at a loopback address listen there alone."""

from __future__ import annotations

import socket
import sys
import types
from typing import Any

import pytest

from dsk.vllm_plugin import loopback


class Store:
    """Stands in for torch's ``TCPStore``: same arguments, and none of its sockets."""

    def __init__(
        self,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        timeout: int = 300,
        wait_for_workers: bool = True,
        multi_tenant: bool = False,
        master_listen_fd: int | None = None,
        use_libuv: bool = True,
    ) -> None:
        self.address = (host_name, port)
        self.is_master = is_master
        self.timeout = timeout
        self.use_libuv = use_libuv
        self.listening = socket.socket(fileno=master_listen_fd) if master_listen_fd else None


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[Store]:
    torch: Any = types.ModuleType("torch")
    torch.distributed = types.SimpleNamespace(TCPStore=Store, is_available=lambda: True)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(Store, "__init__", Store.__init__)  # put back at the end
    loopback.apply()
    return Store


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize("port", [0, None])
def test_a_store_at_a_loopback_address_listens_there_alone(
    store: type[Store], host: str, port: int | None
) -> None:
    made = store(host, free_port() if port is None else port, 2, True, 60, use_libuv=True)
    assert made.listening is not None
    with made.listening as listening:
        address, bound = listening.getsockname()[:2]
        assert address in ("127.0.0.1", "::1")
        assert made.address == (host, bound)
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert (made.timeout, made.use_libuv) == (60, False)


def test_clients_and_stores_at_other_addresses_are_made_as_before(store: type[Store]) -> None:
    for made in (
        store("127.0.0.1", 7, 2, False),
        store(host_name="127.0.0.1", port=7, is_master=False, world_size=2),
        store("10.0.0.7", 7, 2, True),
        store("node7.example", 7, 2, True),
    ):
        assert (made.listening, made.use_libuv) == (None, True)


def test_a_socket_of_the_callers_is_kept(store: type[Store]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        named = store("127.0.0.1", port, 1, True, master_listen_fd=given.fileno())
        assert named.listening is not None
        named.listening.detach()
        placed = store("127.0.0.1", port, 1, True, 60, True, False, given.fileno())
        assert placed.listening is not None
        assert placed.listening.detach() == given.fileno()


def test_a_port_that_is_taken_is_said_and_leaves_no_socket(store: type[Store]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(OSError, match="in use"),
    ):
        store("127.0.0.1", other.getsockname()[1], 1, True)


def test_a_second_call_changes_nothing(store: type[Store]) -> None:
    before = store.__init__
    loopback.apply()
    assert store.__init__ is before


def test_a_torch_without_the_package_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch: Any = types.ModuleType("torch")
    torch.distributed = types.SimpleNamespace(is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "torch", torch)
    loopback.apply()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port: int = trial.getsockname()[1]
        return port

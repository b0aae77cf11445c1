"""Addresses that only this machine reaches."""

import pytest

from dsk.network import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("registry.example", False),
        ("", False),
    ],
)
def test_an_address_is_loopback_only_if_no_other_machine_reaches_it(
    host: str, expected: bool
) -> None:
    assert is_loopback(host) is expected

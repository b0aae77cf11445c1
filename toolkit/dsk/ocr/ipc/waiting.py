"""Waiting for any of many descriptors, whatever their numbers."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class HasDescriptor(Protocol):
    """Something that can be waited for."""

    def fileno(self) -> int:
        """Return its descriptor."""


Waited = TypeVar("Waited", bound="HasDescriptor | int")


def readable(waited: Iterable[Waited], seconds: float) -> list[Waited]:
    """Wait until one can be read from or has ended, and return those that can be or have.

    Args:
        waited: channels and the like, or descriptors.
        seconds: the longest to wait; 0 only looks.
    """
    # Not select.select: it takes no descriptor from 1024 on, and a run with thousands of one-page
    # documents has more.
    poller = select.poll()
    by_number = {each if isinstance(each, int) else each.fileno(): each for each in waited}
    for number in by_number:
        poller.register(number, select.POLLIN)
    # Rounded up: a wait of half a millisecond is not a loop without one.
    found = poller.poll(-int(-seconds * 1000 // 1))
    return [by_number[number] for number, _ in found]

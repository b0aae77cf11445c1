"""Budgets: what all requests together may hold of a thing, handed out in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Self

from dsk.vllm_plugin.gate.refusal import Refusal

# Seconds that a request which holds some waits for more: if those that grow hold everything, none
# of them can go on until one is refused.
GROW_SECONDS: Final = 60.0


class Budget:
    """A quantity that the requests of one event loop share.

    Args:
        total: of bytes or pixels.
        queue: the most requests that wait for a share; further ones are refused.
    """

    def __init__(self, total: int, *, queue: int) -> None:
        self._total = total
        self._free = total
        self._longest = queue
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int) -> Share:
        """Wait for a share; one of more than everything is of everything.

        Raises:
            Refusal: too many requests wait already.
        """
        amount = min(amount, self._total)
        await self._wait(amount, first=False)
        return Share(self, amount)

    async def _wait(self, amount: int, *, first: bool) -> None:
        if amount <= self._free and (first or not self._waiting):
            self._free -= amount
            return
        if len(self._waiting) >= self._longest:
            raise busy()
        turn = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft((amount, turn))
        else:
            self._waiting.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # It may have been granted in the same step of the loop.
            if not turn.cancelled():
                self._free += amount
            self._hand_out()
            raise

    async def grow(self, amount: int) -> None:
        """Wait for more of a share, before all who have none; for `GROW_SECONDS` at most.

        Raises:
            Refusal: there is no more, because others that grow have it.
        """
        try:
            async with asyncio.timeout(GROW_SECONDS):
                await self._wait(amount, first=True)
        except TimeoutError:
            raise busy() from None

    def give_back(self, amount: int) -> None:
        """Take back a part of a share."""
        self._free += amount
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if not turn.done():
                if amount > self._free:
                    return
                self._free -= amount
                turn.set_result(None)
            self._waiting.popleft()


class Share:
    """A part of a budget that one request holds; leaving the block gives it back."""

    def __init__(self, budget: Budget, amount: int) -> None:
        self._budget = budget
        self._amount = amount

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.shrink(0)

    @property
    def amount(self) -> int:
        """The quantity that the request holds."""
        return self._amount

    async def grow(self, amount: int) -> None:
        """Hold at least ``amount``; see `Budget.grow`."""
        if amount > self._amount:
            await self._budget.grow(amount - self._amount)
            self._amount = amount

    def shrink(self, amount: int) -> None:
        """Keep at most ``amount`` and give back the rest."""
        surplus = max(0, self._amount - amount)
        self._amount -= surplus
        if surplus:
            self._budget.give_back(surplus)


def busy() -> Refusal:
    """Return the refusal of a request that may come again."""
    return Refusal(503, "the server is busy: ask again in a moment", retry_after="2")

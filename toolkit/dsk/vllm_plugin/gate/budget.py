"""Budgets: what all requests together may hold of a thing, handed out in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from dsk.vllm_plugin.gate.refusal import Refusal


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
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return Share(self, amount)
        if len(self._waiting) >= self._longest:
            raise Refusal(503, "the server is busy: ask again in a moment", retry_after="2")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # It may have been granted in the same step of the loop.
            if not turn.cancelled():
                self._free += amount
            self._hand_out()
            raise
        return Share(self, amount)

    def give_back(self, amount: int) -> None:
        """Take back a part of a share."""
        self._free += amount
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if not turn.cancelled():
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

    def shrink(self, amount: int) -> None:
        """Keep at most ``amount`` and give back the rest."""
        surplus = max(0, self._amount - amount)
        self._amount -= surplus
        if surplus:
            self._budget.give_back(surplus)

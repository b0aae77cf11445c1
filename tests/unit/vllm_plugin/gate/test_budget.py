"""Budgets: in the order of asking, never more than there is, never lost."""

from __future__ import annotations

import asyncio

import pytest

from dsk.vllm_plugin.gate import budget as budget_module
from dsk.vllm_plugin.gate.budget import Budget
from dsk.vllm_plugin.gate.refusal import Refusal


def test_shares_are_handed_out_in_order() -> None:
    async def run() -> list[str]:
        budget, order = Budget(10, queue=9), []

        async def work(name: str, amount: int) -> None:
            with await budget.take(amount):
                order.append(name)
                await asyncio.sleep(0.01)

        # The small one would fit beside the first: it does not overtake, or large ones starve.
        await asyncio.gather(work("first", 6), work("large", 9), work("small", 1))
        return order

    assert asyncio.run(run()) == ["first", "large", "small"]


def test_more_than_everything_is_everything() -> None:
    async def run() -> None:
        budget = Budget(10, queue=1)
        with await budget.take(1000):
            waiting = asyncio.ensure_future(budget.take(1))
            await asyncio.sleep(0)
            assert not waiting.done()
        with await waiting:
            pass

    asyncio.run(run())


def test_a_share_that_shrinks_lets_others_in_once() -> None:
    async def run() -> None:
        budget = Budget(10, queue=2)
        with await budget.take(10) as share:
            waiting = [asyncio.ensure_future(budget.take(4)) for _ in range(2)]
            share.shrink(6)
            share.shrink(8)
            await asyncio.sleep(0)
            assert [turn.done() for turn in waiting] == [True, False]
        (await waiting[0]).shrink(0)
        (await waiting[1]).shrink(0)
        with await budget.take(10):
            pass

    asyncio.run(run())


@pytest.mark.parametrize("granted", [False, True])
def test_a_request_that_is_cancelled_gives_back_what_it_got(granted: bool) -> None:
    async def run() -> None:
        budget = Budget(10, queue=2)
        share = await budget.take(10)
        first = asyncio.ensure_future(budget.take(7))
        second = asyncio.ensure_future(budget.take(7))
        await asyncio.sleep(0)
        if granted:
            share.shrink(0)
        first.cancel()
        if not granted:
            share.shrink(0)
        with pytest.raises(asyncio.CancelledError):
            await first
        (await asyncio.wait_for(second, 1)).shrink(0)
        (await asyncio.wait_for(budget.take(10), 1)).shrink(0)

    asyncio.run(run())


def test_a_full_queue_is_503_with_the_time_to_come_back() -> None:
    async def run() -> Refusal:
        budget = Budget(1, queue=1)
        await budget.take(1)
        waiting = asyncio.ensure_future(budget.take(1))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as caught:
            await budget.take(1)
        waiting.cancel()
        return caught.value

    refusal = asyncio.run(run())
    assert refusal.status == 503
    assert refusal.headers == [(b"retry-after", b"2")]


def test_one_that_has_begun_grows_before_those_that_have_not() -> None:
    async def run() -> None:
        budget = Budget(10, queue=3)
        held, begun = await budget.take(6), await budget.take(4)
        waiting = asyncio.ensure_future(budget.take(4))
        growing = asyncio.ensure_future(begun.grow(8))
        await asyncio.sleep(0)
        held.shrink(0)
        await asyncio.sleep(0)
        assert (growing.done(), waiting.done()) == (True, False)
        begun.shrink(0)
        (await waiting).shrink(0)
        await begun.grow(10)

    asyncio.run(run())


def test_if_those_that_grow_have_everything_they_are_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget_module, "GROW_SECONDS", 0.05)

    async def run() -> None:
        budget = Budget(10, queue=3)
        with await budget.take(5) as one, await budget.take(5) as other:
            with pytest.raises(Refusal) as caught:
                await one.grow(6)
            assert caught.value.status == 503
            one.shrink(0)
            await other.grow(10)
        (await budget.take(10)).shrink(0)

    asyncio.run(run())

"""The incremental n-gram guard bans what the published, rescanning rule bans."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsk.vllm_plugin.guard.ngram import GuardSettings, NgramGuard
from dsk.vllm_plugin.guard.ngram_batch import BatchGuard, GuardedSequence


def rescanned(output: list[int], settings: GuardSettings) -> set[int]:
    """The published rule, written plainly: look through the window for the last tokens."""
    size = settings.ngram_size
    if len(output) < size:
        return set()
    prefix = output[len(output) - size + 1 :]
    starts = range(max(0, len(output) - settings.window_size), len(output) - size + 1)
    follow = {output[i + size - 1] for i in starts if output[i : i + size - 1] == prefix}
    return follow - settings.whitelist_token_ids


settings_strategy = st.builds(
    GuardSettings,
    ngram_size=st.integers(2, 5),
    window_size=st.integers(1, 30),
    whitelist_token_ids=st.frozensets(st.integers(0, 3), max_size=2),
)
tokens = st.lists(st.integers(0, 3), max_size=120)


@given(settings_strategy, tokens)
def test_every_token_of_a_sequence_has_the_rescanning_rules_bans(
    settings: GuardSettings, output: list[int]
) -> None:
    guard = NgramGuard(settings)
    for length in range(len(output) + 1):
        assert set(guard.banned(output[:length])) == rescanned(output[:length], settings)


# Taken up at two tokens, fewer than the n-gram has: they were counted twice.
@example(GuardSettings(ngram_size=4, window_size=5), [2, 0, 2, 0], [2, 4])
@given(settings_strategy, tokens, st.lists(st.integers(0, 120), max_size=8))
def test_a_sequence_taken_up_again_anywhere_has_the_same_bans(
    settings: GuardSettings, output: list[int], lengths: list[int]
) -> None:
    guard = NgramGuard(settings)
    for length in lengths:
        for here in (output[:length], output[: length + 1]):
            assert set(guard.banned(here)) == rescanned(here, settings)


@given(
    settings_strategy,
    st.lists(st.lists(st.integers(0, 2), min_size=40, max_size=40), min_size=2, max_size=3),
)
def test_sequences_that_share_a_guard_by_turns_have_the_same_bans(
    settings: GuardSettings, outputs: list[list[int]]
) -> None:
    guard = NgramGuard(settings)
    for length in range(1, 41):
        for output in outputs:
            assert set(guard.banned(output[:length])) == rescanned(output[:length], settings)


def bans(guard: BatchGuard) -> set[tuple[int, int]]:
    rows, found = guard.banned()
    return set(zip(rows.tolist(), found.tolist(), strict=True))


@given(st.data())
def test_a_batch_that_comes_and_goes_has_the_rescanning_rules_bans(data: st.DataObject) -> None:
    guard, batch = BatchGuard(), dict[int, GuardedSequence]()
    for _ in range(data.draw(st.integers(1, 60))):
        if data.draw(st.integers(0, 4)) == 0:  # one comes, in a free row or in another's place
            row, output = data.draw(st.integers(0, 4)), data.draw(tokens)
            batch[row] = GuardedSequence(data.draw(settings_strategy), output)
            guard.set_sequences(batch)
        if batch and data.draw(st.integers(0, 8)) == 0:  # one goes, the last takes its row
            gone = data.draw(st.sampled_from(sorted(batch)))
            batch[gone] = batch[max(batch)]
            del batch[max(batch)]
            guard.set_sequences(batch)
        for one in batch.values():
            # Rarely none, as for a prompt that is not all read, or several at once.
            one_more = st.lists(st.integers(0, 3), min_size=1, max_size=1)
            new = data.draw(tokens if data.draw(st.integers(0, 9)) == 0 else one_more)
            assert isinstance(one.output, list)
            one.output.extend(new)
        assert bans(guard) == {
            (row, token)
            for row, one in batch.items()
            for token in rescanned(list(one.output), one.settings)
        }


def looked_at(window: int, length: int) -> int:
    """How many tokens of the output the guard reads for the last 100 tokens of ``length``."""

    class Counting(list[int]):
        reads = 0

        def __getitem__(self, index: Any) -> Any:
            cut = isinstance(index, slice)
            Counting.reads += len(range(*index.indices(len(self)))) if cut else 1
            return super().__getitem__(index)

    guard = NgramGuard(GuardSettings(ngram_size=20, window_size=window))
    output = Counting()
    for step in range(length):
        if step == length - 100:
            Counting.reads = 0
        output.append(step * step % 97)
        guard.banned(output)
    return Counting.reads


def test_a_tokens_cost_grows_with_neither_the_window_nor_the_output() -> None:
    assert looked_at(50, 500) == looked_at(5000, 500) == looked_at(5000, 8000) == 100


def test_what_is_remembered_is_bounded_by_the_window() -> None:
    guard = NgramGuard(GuardSettings(ngram_size=3, window_size=50))
    output: list[int] = []
    for step in range(5000):
        output.append(step)
        guard.banned(output)
    assert len(guard._in_window) <= 50
    assert len(guard._followers) <= 50


def test_a_loop_is_stopped_and_the_ends_of_table_cells_are_let_through() -> None:
    loop = [1, 2, 3] * 8
    assert NgramGuard(GuardSettings(ngram_size=4)).banned(loop) == [1]
    allowing = GuardSettings(ngram_size=4, whitelist_token_ids=frozenset({1}))
    assert NgramGuard(allowing).banned(loop) == []


def test_a_clone_starts_afresh() -> None:
    guard = NgramGuard(GuardSettings(ngram_size=2))
    for length in range(1, 5):
        guard.banned([7, 7, 7, 7][:length])
    assert guard.clone().banned([1]) == []


def test_a_request_without_a_size_or_with_0_has_no_guard() -> None:
    assert GuardSettings.from_args({}) is None
    assert GuardSettings.from_args({"ngram_size": 0, "window_size": 9}) is None


def test_a_request_says_its_numbers() -> None:
    carried = {"ngram_size": 20, "window_size": 50, "whitelist_token_ids": [128821, 128822]}
    assert GuardSettings.from_args(carried) == GuardSettings(
        ngram_size=20, window_size=50, whitelist_token_ids=frozenset({128821, 128822})
    )


@pytest.mark.parametrize(
    ("carried", "message"),
    [
        ({"ngram_size": 1}, "ngram_size is 1: give a whole number of at least 2"),
        ({"ngram_size": "20"}, "ngram_size is '20': give a whole number"),
        ({"ngram_size": 20, "window_size": 0}, "window_size is 0: give a whole number"),
        ({"ngram_size": 20, "window_size": 1025}, "window_size is 1025: give at most 1024"),
        ({"ngram_size": 20, "whitelist_token_ids": "td"}, "whitelist_token_ids is 'td'"),
    ],
)
def test_numbers_that_make_no_rule_are_refused(carried: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GuardSettings.from_args(carried)

"""No-repeat n-gram guard for a whole batch; `dsk.vllm_plugin.guard.ngram` is that for one sequence.

For each distance within the window, the guard counts how many of a sequence's last tokens repeat
those that far before. Where the count reaches a whole prefix, the token that followed it then is
banned now. A step costs a few operations on arrays, however many sequences there are and whatever
they repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from dsk.vllm_plugin.guard.ngram import GuardSettings

_NO_TOKEN: Final = -1
_NEVER: Final = np.iinfo(np.int32).max  # repeats that are never reached: beyond a window


@dataclass(frozen=True, eq=False)
class GuardedSequence:
    """Sequence of the batch.

    Args:
        settings: its guard's settings.
        output: its tokens; the engine appends to this very list.
    """

    settings: GuardSettings
    output: Sequence[int]

    @property
    def distances(self) -> int:
        """Number of distances to look back: an n-gram must begin within the window."""
        return max(0, self.settings.window_size - self.settings.ngram_size + 1)


class BatchGuard:
    """Guard of all sequences of a batch."""

    def __init__(self) -> None:
        self._sequences: list[GuardedSequence] = []
        self._batch_rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self._lengths: NDArray[np.int64] = np.zeros(0, np.int64)
        # One row for each sequence; column d is for distance d + 1. ``tokens``: the token at that
        # distance. ``repeated``: how many of the last tokens, up to now, repeat those that far
        # before. ``least``: how many of these make a ban.
        self._tokens: NDArray[np.int32] = np.zeros((0, 0), np.int32)
        self._repeated = self._tokens
        self._least = self._tokens

    def set_sequences(self, sequences: Mapping[int, GuardedSequence]) -> None:
        """Replace the batch; the counts of sequences that stay are kept.

        Args:
            sequences: the sequences by their rows in the batch.
        """
        # By identity: vLLM moves a request to another row, and may reuse a row for a new one.
        old_rows = {id(sequence): row for row, sequence in enumerate(self._sequences)}
        current = list(sequences.values())
        before = [old_rows.get(id(sequence), -1) for sequence in current]
        shape = len(current), max((sequence.distances for sequence in current), default=0)
        tokens, repeated = np.full(shape, _NO_TOKEN, np.int32), np.zeros(shape, np.int32)
        least, lengths = np.full(shape, _NEVER, np.int32), np.zeros(len(current), np.int64)
        kept = [row for row, old in enumerate(before) if old >= 0]
        old = [before[row] for row in kept]
        columns = min(shape[1], self._tokens.shape[1])
        tokens[kept, :columns] = self._tokens[old, :columns]
        repeated[kept, :columns] = self._repeated[old, :columns]
        lengths[kept] = self._lengths[old]
        for row, sequence in enumerate(current):
            least[row, : sequence.distances] = sequence.settings.ngram_size - 1
        self._sequences, self._lengths = current, lengths
        self._batch_rows = np.fromiter(sequences, np.int64, len(current))
        self._tokens, self._repeated, self._least = tokens, repeated, least

    def banned(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens that may not come next: rows of the batch, and a token for each."""
        self._read_outputs()
        rows, columns = np.nonzero(self._repeated >= self._least)
        tokens = self._tokens[rows, columns]
        allowed = [
            token in self._sequences[row].settings.whitelist_token_ids
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)
        ]
        kept = ~np.array(allowed, bool)
        return self._batch_rows[rows[kept]], tokens[kept].astype(np.int64)

    def _read_outputs(self) -> None:
        """Bring the counts up to date with the outputs."""
        outputs = [sequence.output for sequence in self._sequences]
        lengths = np.fromiter(map(len, outputs), np.int64, len(outputs))
        growth = lengths - self._lengths
        self._lengths = lengths
        # Usually a token each, or none while a prompt is read in chunks. Any other difference, as
        # for a sequence that was preempted and comes back with its tokens, is counted afresh.
        for row in np.nonzero((growth != 0) & (growth != 1))[0].tolist():
            self._rebuild(row)
        rows = np.nonzero(growth == 1)[0]
        self._push(rows, [outputs[row][-1] for row in rows.tolist()])

    def _rebuild(self, row: int) -> None:
        self._tokens[row], self._repeated[row] = _NO_TOKEN, 0
        sequence = self._sequences[row]
        needed = self._tokens.shape[1] + sequence.settings.ngram_size
        for token in sequence.output[-needed:]:
            self._push(np.array([row]), [token])

    def _push(self, rows: NDArray[np.int64], new: list[int]) -> None:
        """Append a token to each of some sequences."""
        tokens, last = self._tokens[rows], np.array(new, np.int32)[:, None]
        self._repeated[rows] = (self._repeated[rows] + 1) * (tokens == last)
        self._tokens[rows] = np.concatenate((last, tokens), axis=1)[:, : tokens.shape[1]]

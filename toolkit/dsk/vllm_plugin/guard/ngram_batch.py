"""The no-repeat n-gram rule for a whole batch; `dsk.vllm_plugin.guard.ngram` has it for one.

For each distance within the window, it is kept up to date how many of a sequence's last tokens
repeat those that far before. Where these are a whole prefix, what followed it then is banned now. A
step costs a few operations on arrays, however many sequences there are and whatever they repeat.
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
_NEVER: Final = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class GuardedSequence:
    """A sequence of the batch.

    Args:
        settings: the rule's numbers for it.
        output: its tokens, which grow by themselves.
    """

    settings: GuardSettings
    output: Sequence[int]

    @property
    def distances(self) -> int:
        """How far back what is repeated may lie: an n-gram must begin within the window."""
        return max(0, self.settings.window_size - self.settings.ngram_size + 1)


class BatchGuard:
    """The bans for the sequences of a batch."""

    def __init__(self) -> None:
        self._held: list[GuardedSequence] = []
        self._places: NDArray[np.int64] = np.zeros(0, np.int64)
        self._taken: NDArray[np.int64] = np.zeros(0, np.int64)
        # Column d is for distance d + 1: the token there, the tokens up to now that repeat those
        # so far before, and how many of these make a ban.
        self._tokens: NDArray[np.int32] = np.zeros((0, 0), np.int32)
        self._repeated = self._tokens
        self._least = self._tokens

    def hold(self, sequences: Mapping[int, GuardedSequence]) -> None:
        """Say which sequences there are now, by their rows in the batch."""
        rows = {id(one): row for row, one in enumerate(self._held)}
        held = list(sequences.values())
        before = [rows.get(id(one), -1) for one in held]
        shape = len(held), max((one.distances for one in held), default=0)
        tokens, repeated = np.full(shape, _NO_TOKEN, np.int32), np.zeros(shape, np.int32)
        least, taken = np.full(shape, _NEVER, np.int32), np.zeros(len(held), np.int64)
        same = [row for row, old in enumerate(before) if old >= 0]
        old = [before[row] for row in same]
        columns = min(shape[1], self._tokens.shape[1])
        tokens[same, :columns] = self._tokens[old, :columns]
        repeated[same, :columns] = self._repeated[old, :columns]
        taken[same] = self._taken[old]
        for row, one in enumerate(held):
            least[row, : one.distances] = one.settings.ngram_size - 1
        self._held, self._places = held, np.fromiter(sequences, np.int64, len(held))
        self._tokens, self._repeated, self._least = tokens, repeated, least
        self._taken = taken

    def banned(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What may not come next: rows of the batch, and a token for each."""
        self._take()
        rows, columns = np.nonzero(self._repeated >= self._least)
        tokens = self._tokens[rows, columns]
        allowed = [
            token in self._held[row].settings.whitelist_token_ids
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)
        ]
        kept = ~np.array(allowed, bool)
        return self._places[rows[kept]], tokens[kept].astype(np.int64)

    def _take(self) -> None:
        """Take in what the sequences have become: usually each is a token longer."""
        lengths = np.fromiter((len(one.output) for one in self._held), np.int64, len(self._held))
        longer = lengths - self._taken
        self._taken = lengths
        for row in np.nonzero((longer != 0) & (longer != 1))[0].tolist():
            self._read_again(row)
        rows = np.nonzero(longer == 1)[0]
        self._push(rows, [self._held[row].output[-1] for row in rows.tolist()])

    def _read_again(self, row: int) -> None:
        self._tokens[row], self._repeated[row] = _NO_TOKEN, 0
        settings = self._held[row].settings
        needed = self._tokens.shape[1] + settings.ngram_size
        for token in self._held[row].output[-needed:]:
            self._push(np.array([row]), [token])

    def _push(self, rows: NDArray[np.int64], new: list[int]) -> None:
        tokens, last = self._tokens[rows], np.array(new, np.int32)[:, None]
        self._repeated[rows] = (self._repeated[rows] + 1) * (tokens == last)
        self._tokens[rows] = np.concatenate((last, tokens), axis=1)[:, : tokens.shape[1]]

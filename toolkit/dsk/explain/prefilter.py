"""Search of raw bytes for some hundred literals at once."""

# Each literal is represented by its rarest four bytes. All four-byte groups of a block are looked
# up at once, with NumPy, in a table; only at a hit is the whole literal compared. The time is
# linear in the block and hardly depends on the number of literals.

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_BITS: Final = 16  # the table must stay in the innermost cache
_SHIFT: Final = np.uint32(32 - _BITS)
_MULTIPLIER: Final = np.uint32(2_654_435_761)  # Knuth's multiplicative hash
# Commonest pairs of letters in English and in code.
_COMMON_PAIRS: Final = frozenset(
    """
    th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le
    ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ut ct ec el lo la ta pe tr ns
    us rt ss ac em ge il et id no po pr oc ot fi mo ul un pa wi rs ad ck ai su mp ap ke ue ir
    ty iv ex ee am pp py fo 00
    """.split()  # noqa: SIM905
)


class Prefilter:
    """Search for literals: lower case, four bytes or more."""

    def __init__(self, literals: Iterable[str]) -> None:
        self._entries = [_Entry.of(literal) for literal in sorted(set(literals))]
        self._fill()

    def forget(self, literals: Collection[str]) -> None:
        """Stop searching for literals."""
        self._entries = [entry for entry in self._entries if entry.literal not in literals]
        self._fill()

    def offsets(self, lowered: bytes) -> npt.NDArray[np.int64]:
        """Return the offsets, in order, at which a literal may be; `literals_at` compares them.

        The block must be lower case.
        """
        padded = lowered + bytes(8)
        hits = [self._maybe_at(padded, start) for start in range(4)]
        # numpy's stable sort merges the four sorted parts instead of sorting anew.
        return np.sort(np.concatenate(hits), kind="stable")

    def literals_at(self, lowered: bytes, offsets: Iterable[int]) -> set[str]:
        """Return the literals that really are at these offsets."""
        return {
            entry.literal
            for offset in offsets
            for entry in self._by_group.get(
                int.from_bytes(lowered[offset : offset + 4], "little"), ()
            )
            if offset >= entry.at and lowered.startswith(entry.raw, offset - entry.at)
        }

    def _fill(self) -> None:
        self._by_group: dict[int, list[_Entry]] = defaultdict(list)
        for entry in self._entries:
            self._by_group[entry.first].append(entry)
        self._table = np.zeros(1 << _BITS, dtype=np.bool_)
        self._table[_hash(np.array(list(self._by_group), dtype=np.uint32))] = True
        alone = {entry.first for entry in self._entries if entry.second is None}
        pairs = {entry.pair for entry in self._entries if entry.second is not None}
        self._alone = np.array(sorted(alone), dtype=np.uint64)
        self._pairs = np.array(sorted(pairs), dtype=np.uint64)

    def _maybe_at(self, padded: bytes, start: int) -> npt.NDArray[np.int64]:
        count = (len(padded) - start) // 4 - 2
        groups = np.frombuffer(padded, dtype="<u4", count=count + 1, offset=start)
        maybe = np.flatnonzero(self._table[_hash(groups[:-1])])
        firsts = groups[maybe].astype(np.uint64)
        pairs = firsts | (groups[maybe + 1].astype(np.uint64) << np.uint64(32))
        known = _in_sorted(self._alone, firsts) | _in_sorted(self._pairs, pairs)
        return maybe[known] * 4 + start


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """Literal with the four bytes that represent it, and the next four if it is long enough."""

    literal: str
    raw: bytes
    at: int
    first: int
    second: int | None

    @classmethod
    @functools.cache
    def of(cls, literal: str) -> _Entry:
        raw = literal.encode()
        span = 8 if len(raw) >= 8 else 4
        at = min(range(len(raw) - span + 1), key=lambda i: (_commonness(raw[i : i + 4]), i))
        second = int.from_bytes(raw[at + 4 : at + 8], "little") if span == 8 else None
        first = int.from_bytes(raw[at : at + 4], "little")
        return cls(literal=literal, raw=raw, at=at, first=first, second=second)

    @property
    def pair(self) -> int:
        return self.first | ((self.second or 0) << 32)


def _hash(groups: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return (groups * _MULTIPLIER) >> _SHIFT


def _in_sorted(
    known: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(values), dtype=np.bool_)
    nearest = known[np.minimum(np.searchsorted(known, values), len(known) - 1)]
    return np.equal(nearest, values)


def _commonness(group: bytes) -> int:
    """Return how common four bytes are in logs, 0 to 6, by their three pairs."""
    pairs = (group[i : i + 2].decode() for i in range(3))
    # A pair with a space counts half.
    return sum(2 if pair in _COMMON_PAIRS else " " in pair for pair in pairs)

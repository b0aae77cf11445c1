"""No-repeat n-gram guard for one sequence, updated token by token.

A token is banned when it would repeat an n-gram that began within the last ``window_size`` tokens
of the output. The published guards rescan the window for every token; this one remembers which
tokens followed each prefix, so a token costs the same whatever the window and the output's length.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A step of V1's batch guard takes time in proportion to the largest window in the batch: without a
# bound, one request could slow all others down.
LARGEST_WINDOW: Final = 1024


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """Settings of the guard, as requests carry them in ``extra_args``.

    Args:
        ngram_size: tokens of a repeat, 2 or more.
        window_size: tokens looked back over.
        whitelist_token_ids: tokens that are never banned, such as the tags of table cells.
    """

    ngram_size: int
    window_size: int = 100
    whitelist_token_ids: frozenset[int] = frozenset()

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> Self | None:
        """Parse a request's arguments; return None if ``ngram_size`` is missing or 0: no guard.

        Raises:
            ValueError: a value is of another type or out of range.
        """
        size = args.get("ngram_size")
        if not size:
            return None
        window = args.get("window_size", cls.window_size)
        for name, value, least in (("ngram_size", size, 2), ("window_size", window, 1)):
            if not isinstance(value, int) or value < least:
                message = f"{name} is {value!r}: give a whole number of at least {least}"
                raise ValueError(message)
        if window > LARGEST_WINDOW:
            message = f"window_size is {window}: give at most {LARGEST_WINDOW}"
            raise ValueError(message)
        allowed = args.get("whitelist_token_ids") or ()
        if isinstance(allowed, str) or not all(isinstance(token, int) for token in allowed):
            message = f"whitelist_token_ids is {allowed!r}: give a list of token ids"
            raise ValueError(message)
        return cls(ngram_size=size, window_size=window, whitelist_token_ids=frozenset(allowed))


class NgramGuard:
    """Guard of one sequence; a logits processor for vLLM's V0 engine."""

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self._shared = False
        self._reset(0)

    def clone(self) -> NgramGuard:
        """Return a fresh guard with the same settings."""
        # vLLM's V0 engine clones the logits processors of each request that it takes up.
        return NgramGuard(self.settings)

    def __call__(self, output: Sequence[int], logits: Any) -> Any:
        """Ban tokens in ``logits`` (vocabulary,), in place."""
        banned = self.banned(output)
        if banned:
            logits[banned] = -float("inf")
        return logits

    def banned(self, output: Sequence[int]) -> list[int]:
        """Return the tokens that may not follow ``output``, usually a token longer than before."""
        if len(output) == self._length + 1 and not self._shared:
            self._append(output[-1])
        elif len(output) != self._length or self._shared:
            self._rebuild(output)
        elif output:
            # The same length twice: V0 gives one guard to all sequences of a request (``n`` > 1),
            # which take turns with it. From now on it is rebuilt every time.
            self._shared = True
            self._rebuild(output)
        size = self.settings.ngram_size
        if self._length < size:
            return []
        followers = self._followers.get(tuple(self._tail)[1:], {})
        return [token for token in followers if token not in self.settings.whitelist_token_ids]

    def _reset(self, length: int) -> None:
        self._length = length
        self._tail: deque[int] = deque(maxlen=self.settings.ngram_size)
        # By prefix: the tokens that followed it within the window, each with the position at which
        # that n-gram last began.
        self._followers: dict[tuple[int, ...], dict[int, int]] = {}
        self._in_window: deque[tuple[int, tuple[int, ...], int]] = deque()

    def _rebuild(self, output: Sequence[int]) -> None:
        start = max(0, len(output) - self.settings.window_size)
        self._reset(start)
        for token in output[start:]:
            self._append(token)
        # A window shorter than the prefix still needs the whole prefix.
        size = self.settings.ngram_size
        self._tail = deque(output[-size:], maxlen=size)

    def _append(self, token: int) -> None:
        self._length += 1
        self._tail.append(token)
        if len(self._tail) == self.settings.ngram_size:
            *before, last = self._tail
            prefix, began = tuple(before), self._length - self.settings.ngram_size
            self._followers.setdefault(prefix, {})[last] = began
            self._in_window.append((began, prefix, last))
        self._leave_window()

    def _leave_window(self) -> None:
        """Remove the n-grams that began before the window."""
        while self._in_window and self._in_window[0][0] < self._length - self.settings.window_size:
            began, prefix, last = self._in_window.popleft()
            followers = self._followers[prefix]
            if followers[last] == began:  # else it began again later, and stays
                del followers[last]
            if not followers:
                del self._followers[prefix]

"""The no-repeat n-gram rule, kept up token by token.

A token is banned when it would repeat an n-gram that began within the last ``window_size`` tokens
of the output. The published guards rescan the window for every token; this one remembers what
followed what, so a token costs the same however long the window and the output are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_WINDOW: Final = 1024
"""Of requests: for the whole batch a step of V1's guard takes time in proportion to the largest."""


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """The rule's numbers, as requests carry them in ``extra_args``.

    Args:
        ngram_size: tokens of a repeat, at least 2.
        window_size: tokens looked back over.
        whitelist_token_ids: tokens that are never banned, as the ends of table cells.
    """

    ngram_size: int
    window_size: int = 100
    whitelist_token_ids: frozenset[int] = frozenset()

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> Self | None:
        """The settings in ``args``; None when it has no ``ngram_size``, or 0: no guard.

        Raises:
            ValueError: a number is not one, or is too small.
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
    """The bans for one sequence; a logits processor for vLLM's V0 engine."""

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self._shared = False
        self._reset(0)

    def clone(self) -> NgramGuard:
        """A fresh guard for another request: vLLM's V0 engine asks for one."""
        return NgramGuard(self.settings)

    def __call__(self, output: Sequence[int], logits: Any) -> Any:
        """Ban in ``logits`` (vocabulary,), in place, what the rule bans after ``output``."""
        banned = self.banned(output)
        if banned:
            logits[banned] = -float("inf")
        return logits

    def banned(self, output: Sequence[int]) -> list[int]:
        """Tokens that may not follow ``output``, which is usually one token longer than before."""
        if len(output) == self._length + 1 and not self._shared:
            self._take(output[-1])
        elif len(output) != self._length or self._shared:
            self._read_again(output)
        elif output:
            # The same length twice: several sequences of one request take turns with this guard.
            self._shared = True
            self._read_again(output)
        size = self.settings.ngram_size
        if self._length < size:
            return []
        after = self._followers.get(tuple(self._tail)[1:], {})
        return [token for token in after if token not in self.settings.whitelist_token_ids]

    def _reset(self, length: int) -> None:
        self._length = length
        self._tail: deque[int] = deque(maxlen=self.settings.ngram_size)
        # What followed each prefix within the window, and where that n-gram last began.
        self._followers: dict[tuple[int, ...], dict[int, int]] = {}
        self._in_window: deque[tuple[int, tuple[int, ...], int]] = deque()

    def _read_again(self, output: Sequence[int]) -> None:
        start = max(0, len(output) - self.settings.window_size)
        self._reset(start)
        for token in output[start:]:
            self._take(token)
        # A window shorter than the prefix still needs the whole prefix.
        size = self.settings.ngram_size
        self._tail = deque(output[-size:], maxlen=size)

    def _take(self, token: int) -> None:
        self._length += 1
        self._tail.append(token)
        if len(self._tail) == self.settings.ngram_size:
            *before, last = self._tail
            prefix, began = tuple(before), self._length - self.settings.ngram_size
            self._followers.setdefault(prefix, {})[last] = began
            self._in_window.append((began, prefix, last))
        self._forget()

    def _forget(self) -> None:
        """Drop the n-grams that began before the window."""
        while self._in_window and self._in_window[0][0] < self._length - self.settings.window_size:
            began, prefix, last = self._in_window.popleft()
            after = self._followers[prefix]
            if after[last] == began:
                del after[last]
            if not after:
                del self._followers[prefix]

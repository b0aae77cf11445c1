"""Search of a log for the rules' patterns, block by block, with a bounded number of matches."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from dsk.explain import lines, pattern_safety
from dsk.explain.prefilter import Prefilter
from dsk.explain.repetition import Repetition

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from dsk.explain.rules import Harmless, Rule, Symptoms

# Matches kept of one rule's evidence; of everything else one is kept.
MOST_MATCHES: Final = 24
# Lines, or their shapes, remembered as not worth matching again; with more, all are forgotten.
MOST_SHAPES: Final = 20_000
# Bytes of a window on a longer line; as many bytes around it are matched with it.
WINDOW: Final = 2048
# Bytes at the log's start in which repeated text is searched: it is pasted, not logged.
SEARCHED_FOR_LOOPS: Final = 1 << 16
_EVIDENCE: Final = ("patterns", "harmless")
# Translation of a line to its shape, which has every digit made 0.
_SHAPE: Final = bytes.maketrans(b"123456789", b"000000000")
_SHOWN: Final = 400  # characters of a long line, and of those before the match
_BEFORE: Final = 120
_EXCEPTION: Final = pattern_safety.compiled(
    r"^(?P<value>[\w.]{0,80}(?:Error|Exception|Interrupt|Exit): .{1,300})"
)


@dataclass(frozen=True, kw_only=True)
class LogMatch:
    """Match of a pattern in a line of the log."""

    line: int
    text: str
    """Message of the line, cut around the match if it is long."""
    level: str
    groups: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """Result of searching the whole log."""

    matches: dict[tuple[str, str], list[LogMatch]]
    """By (id, role): a field of `Rule`, for ``all`` and ``details`` with the pattern's number."""
    facts: dict[str, str]
    harmless: dict[str, list[LogMatch]]
    succeeded: bool
    last_error: LogMatch | None
    """Last line that reads like a Python exception, for a log that no rule knows."""
    lines: int


@dataclass(frozen=True)
class _RolePattern:
    """Pattern with the id of its owner, such as a rule, and its role there."""

    pattern: str
    owner: str
    role: str


@dataclass
class LogSearch:
    """Search in progress: `feed` it blocks in order, then take the `result`."""

    symptoms: Symptoms
    _matches: dict[tuple[str, str], list[LogMatch]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _last: tuple[int, bytes] | None = None
    _shapes: dict[bytes, bool] = field(default_factory=dict)
    _lines: int = 0
    _repetition: Repetition = field(default_factory=Repetition)
    _loops_left: int = SEARCHED_FOR_LOOPS
    _data: bytes = b""
    _lowered: bytes = b""
    _newlines: int = 0

    def __post_init__(self) -> None:
        self._by_literal: dict[str, list[_RolePattern]] = defaultdict(list)
        for pattern in _patterns(self.symptoms):
            for literal in pattern_safety.required_literals(pattern.pattern):
                self._by_literal[literal].append(pattern)
        self._prefilter = Prefilter([*self._by_literal, *_ANY_ERROR])

    def feed(self, block: lines.LogBlock) -> None:
        """Search one block."""
        self._data, self._lowered = block.data, block.data.lower()
        if self._loops_left > 0:
            self._search_loops(block.data[: self._loops_left], block.first_line)
        shaped, remembered = block.data.translate(_SHAPE), self._shapes.get
        for index, start, end, offsets in self._candidate_lines():
            if remembered(shaped[start:end]) is False:  # most lines of a long log
                continue
            for begin, stop in _windows(start, end, offsets):
                self._match(shaped[begin:stop], begin, stop, offsets, block.first_line + index)
        self._lines = block.first_line + self._newlines - block.data.endswith(b"\n")

    def _candidate_lines(self) -> Iterator[tuple[int, int, int, list[int]]]:
        """Yield index, start and end of each line that may have literals, and their offsets."""
        offsets = self._prefilter.offsets(self._lowered)
        ends = np.flatnonzero(np.frombuffer(self._data, dtype=np.uint8) == ord("\n"))
        self._newlines = len(ends)
        index = np.searchsorted(ends, offsets)
        firsts = np.flatnonzero(np.diff(index, prepend=-1))
        line = index[firsts]
        bounds = np.concatenate(([-1], ends, [len(self._data)]))
        numbers, starts = line.tolist(), (bounds[line] + 1).tolist()
        stops, spans = bounds[line + 1].tolist(), [*firsts.tolist(), len(offsets)]
        hits = offsets.tolist()
        for at, (first, following) in enumerate(itertools.pairwise(spans)):
            yield numbers[at], starts[at], stops[at], hits[first:following]

    def result(self) -> SearchResult:
        """Return the matches so far."""
        harmless = {entry.id for entry in self.symptoms.harmless}
        facts = {fact.name for fact in self.symptoms.fact}
        return SearchResult(
            matches={
                key: matches
                for key, matches in self._matches.items()
                if key[0] not in harmless | facts
            },
            facts={
                owner: matches[0].groups["value"]
                for (owner, _), matches in self._matches.items()
                if owner in facts
            },
            harmless={
                owner: matches for (owner, _), matches in self._matches.items() if owner in harmless
            },
            succeeded=("", "success") in self._matches,
            last_error=self._last_error(),
            lines=self._lines,
        )

    def _last_error(self) -> LogMatch | None:
        if self._last is None:
            return None
        line = lines.clean(self._last[1])
        match = _EXCEPTION.search(line.text)
        return _log_match(line, self._last[0], match) if match else None

    def _search_loops(self, data: bytes, number: int) -> None:
        for line_number, raw in enumerate(data.split(b"\n"), start=number):
            line = lines.clean(raw[:WINDOW])
            if self._repetition.loops_at(line):
                loop = LogMatch(line=line_number, text=line.text[:_SHOWN], level="", groups={})
                for rule in self.symptoms.rule:
                    if rule.detector == "repetition":
                        self._matches[rule.id, "patterns"].append(loop)
                self._loops_left = 0
                return
        self._loops_left -= len(data)

    def _match(self, shape: bytes, start: int, end: int, offsets: list[int], number: int) -> None:
        """Match a line, or a window of one, unless such a line gave nothing new before."""
        raw = self._data[start:end]
        reads_like_error = self._shapes.get(shape, self._shapes.get(raw))
        if reads_like_error is None:
            inside = (offset for offset in offsets if start <= offset < end)
            literals = self._prefilter.literals_at(self._lowered, inside)
            line = lines.clean(raw)
            patterns = {pattern for text in literals for pattern in self._by_literal.get(text, ())}
            new = self._try_all(patterns, line, number)
            reads_like_error = bool(literals & _ANY_ERROR and _EXCEPTION.search(line.text))
            if not new:
                # Where no pattern distinguishes digits, all lines of the shape have this result.
                by_digit = any(pattern_safety.distinguishes_digits(p.pattern) for p in patterns)
                self._remember(raw if by_digit else shape, reads_like_error=reads_like_error)
        if reads_like_error:
            self._last = (number, raw)

    def _remember(self, shape: bytes, *, reads_like_error: bool) -> None:
        if len(self._shapes) >= MOST_SHAPES:
            self._shapes.clear()
        self._shapes[shape] = reads_like_error

    def _try_all(self, patterns: set[_RolePattern], line: lines.LogLine, number: int) -> bool:
        """Match a line with patterns; return True if one of them got a new match."""
        # Harmless patterns go first: a line that one of them matches is no evidence of a failure.
        harmless = [pattern for pattern in patterns if pattern.role == "harmless"]
        news = [self._try(pattern, line, number) for pattern in harmless]
        if any(new is not None for new in news):
            return any(news)
        if line.level == "DEBUG":
            patterns = {pattern for pattern in patterns if pattern.role in ("fact", "success")}
        news = [self._try(pattern, line, number) for pattern in patterns.difference(harmless)]
        return any(news)

    def _try(self, pattern: _RolePattern, line: lines.LogLine, number: int) -> bool | None:
        """Return None if the pattern does not match, else True if the match was new and kept."""
        text = line.text if pattern.role in _EVIDENCE else line.full
        match = pattern_safety.compiled(pattern.pattern).search(text)
        if match is None:
            return None
        if self._is_full(pattern):
            return False
        self._matches[pattern.owner, pattern.role].append(_log_match(line, number, match))
        if self._is_full(pattern):
            self._forget(pattern.pattern)
        return True

    def _is_full(self, pattern: _RolePattern) -> bool:
        most = MOST_MATCHES if pattern.role in _EVIDENCE else 1
        return len(self._matches.get((pattern.owner, pattern.role), ())) >= most

    def _forget(self, pattern: str) -> None:
        """Stop searching for the pattern's literals that no pattern with room needs."""
        for literal in pattern_safety.required_literals(pattern):
            users = self._by_literal.get(literal, [])
            if literal not in _ANY_ERROR and users and all(map(self._is_full, users)):
                del self._by_literal[literal]
                self._prefilter.forget(literal)


_ANY_ERROR: Final = frozenset({"error: ", "exception: ", "interrupt: ", "exit: "})


def _patterns(symptoms: Symptoms) -> Iterator[_RolePattern]:
    for rule in symptoms.rule:
        yield from _of_rule(rule)
    for entry in symptoms.harmless:
        yield from (_RolePattern(pattern, entry.id, "harmless") for pattern in entry.patterns)
    for fact in symptoms.fact:
        yield from (_RolePattern(pattern, fact.name, "fact") for pattern in fact.patterns)
    yield from (_RolePattern(pattern, "", "success") for pattern in symptoms.success)


def _of_rule(rule: Rule) -> Iterator[_RolePattern]:
    for role in ("patterns", "unless"):
        yield from (_RolePattern(pattern, rule.id, role) for pattern in getattr(rule, role))
    for role in ("all", "details"):
        patterns = enumerate(getattr(rule, role))
        yield from (
            _RolePattern(pattern, rule.id, f"{role} {number}") for number, pattern in patterns
        )


def _windows(start: int, end: int, offsets: list[int]) -> list[tuple[int, int]]:
    """Return the parts of a line to match: the whole line, or what is around the offsets."""
    if end - start <= 2 * WINDOW:
        return [(start, end)]
    begins = sorted({start + (offset - start) // WINDOW * WINDOW for offset in offsets})
    half = WINDOW // 2
    return [(max(start, at - half), min(end, at + WINDOW + half)) for at in begins]


def _log_match(line: lines.LogLine, number: int, match: re.Match[str]) -> LogMatch:
    text = line.text
    if len(text) > _SHOWN:
        start = max(0, match.start() - _BEFORE)
        text = ("..." if start else "") + text[start : start + _SHOWN] + "..."
    groups = {name: value for name, value in match.groupdict().items() if value is not None}
    return LogMatch(line=number, text=text, level=line.level, groups=groups)


def harmless_entry(symptoms: Symptoms, name: str) -> Harmless:
    """Return the harmless line with this id."""
    return next(entry for entry in symptoms.harmless if entry.id == name)

"""Matches a log against the rules, block by block, keeping a bounded number of places for each."""

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

MOST_PLACES: Final = 24
"""Places kept of one rule's evidence (one of everything else); further ones tell nothing new."""
MOST_SHAPES: Final = 20_000
"""Lines, or their shapes, remembered as telling nothing new; with more, all are forgotten."""
WINDOW: Final = 2048
"""Longer lines are looked at in windows of this many bytes, with as much again around them."""
LOOKED_AT_FOR_LOOPS: Final = 1 << 16
"""Repeated text is looked for in this many bytes at the log's start: it is pasted, not logged."""
_EVIDENCE: Final = ("patterns", "harmless")
_SHAPE: Final = bytes.maketrans(b"123456789", b"000000000")
"""A line's shape is the line with every digit made 0."""
_SHOWN: Final = 400
_BEFORE: Final = 120
_LAST_WORDS: Final = pattern_safety.compiled(
    r"^(?P<value>[\w.]{0,80}(?:Error|Exception|Interrupt|Exit): .{1,300})"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a pattern matched."""

    line: int
    text: str
    """The line's message, cut around the match if it is long."""
    level: str
    groups: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found in the whole log."""

    places: dict[tuple[str, str], list[Place]]
    """By (id, role): a field of `Rule`, for ``all`` and ``details`` with the pattern's number."""
    facts: dict[str, str]
    harmless: dict[str, list[Place]]
    succeeded: bool
    last_error: Place | None
    """The last line that reads like a Python exception, for a log that no rule knows."""
    lines: int


@dataclass(frozen=True)
class _Interest:
    """A pattern and who is interested in it."""

    pattern: str
    owner: str
    role: str


@dataclass
class Search:
    """A search under way: `feed` it blocks in order, then take the `findings`."""

    symptoms: Symptoms
    _places: dict[tuple[str, str], list[Place]] = field(default_factory=lambda: defaultdict(list))
    _last: tuple[int, bytes] | None = None
    _shapes: dict[bytes, bool] = field(default_factory=dict)
    _lines: int = 0
    _repetition: Repetition = field(default_factory=Repetition)
    _loops_left: int = LOOKED_AT_FOR_LOOPS
    _data: bytes = b""
    _lowered: bytes = b""
    _newlines: int = 0

    def __post_init__(self) -> None:
        self._by_literal: dict[str, list[_Interest]] = defaultdict(list)
        for interest in _interests(self.symptoms):
            for literal in pattern_safety.required_literals(interest.pattern):
                self._by_literal[literal].append(interest)
        self._prefilter = Prefilter([*self._by_literal, *_ANY_ERROR])

    def feed(self, block: lines.Block) -> None:
        """Look at one block."""
        self._data, self._lowered = block.data, block.data.lower()
        if self._loops_left > 0:
            self._look_for_loops(block.data[: self._loops_left], block.first_line)
        shaped, nothing_new = block.data.translate(_SHAPE), self._shapes.get
        for index, start, end, places in self._lines_with_places():
            if nothing_new(shaped[start:end]) is False:  # most lines of a long log
                continue
            for begin, stop in _windows(start, end, places):
                self._look(shaped[begin:stop], begin, stop, places, block.first_line + index)
        self._lines = block.first_line + self._newlines - block.data.endswith(b"\n")

    def _lines_with_places(self) -> Iterator[tuple[int, int, int, list[int]]]:
        """Each line in which a literal may stand: its index, start, end, and those places."""
        places = self._prefilter.places(self._lowered)
        ends = np.flatnonzero(np.frombuffer(self._data, dtype=np.uint8) == ord("\n"))
        self._newlines = len(ends)
        index = np.searchsorted(ends, places)
        firsts = np.flatnonzero(np.diff(index, prepend=-1))
        line = index[firsts]
        bounds = np.concatenate(([-1], ends, [len(self._data)]))
        numbers, starts = line.tolist(), (bounds[line] + 1).tolist()
        stops, spans = bounds[line + 1].tolist(), [*firsts.tolist(), len(places)]
        found = places.tolist()
        for at, (first, following) in enumerate(itertools.pairwise(spans)):
            yield numbers[at], starts[at], stops[at], found[first:following]

    def findings(self) -> Findings:
        """All that was found so far."""
        harmless = {entry.id for entry in self.symptoms.harmless}
        facts = {fact.name for fact in self.symptoms.fact}
        return Findings(
            places={k: v for k, v in self._places.items() if k[0] not in harmless | facts},
            facts={k: v[0].groups["value"] for (k, _), v in self._places.items() if k in facts},
            harmless={k: v for (k, _), v in self._places.items() if k in harmless},
            succeeded=("", "success") in self._places,
            last_error=self._last_error(),
            lines=self._lines,
        )

    def _last_error(self) -> Place | None:
        if self._last is None:
            return None
        line = lines.clean(self._last[1])
        match = _LAST_WORDS.search(line.text)
        return _place(line, self._last[0], match) if match else None

    def _look_for_loops(self, data: bytes, number: int) -> None:
        for line_number, raw in enumerate(data.split(b"\n"), start=number):
            line = lines.clean(raw[:WINDOW])
            if self._repetition.seen_at(line):
                place = Place(line=line_number, text=line.text[:_SHOWN], level="", groups={})
                for rule in self.symptoms.rule:
                    if rule.detector == "repetition":
                        self._places[rule.id, "patterns"].append(place)
                self._loops_left = 0
                return
        self._loops_left -= len(data)

    def _look(self, shape: bytes, start: int, end: int, places: list[int], number: int) -> None:
        """Look at a line, or a window of one, unless such lines are known to tell nothing new."""
        raw = self._data[start:end]
        reads_like_error = self._shapes.get(shape, self._shapes.get(raw))
        if reads_like_error is None:
            inside = (place for place in places if start <= place < end)
            literals = self._prefilter.literals_at(self._lowered, inside)
            line = lines.clean(raw)
            interests = {i for text in literals for i in self._by_literal.get(text, ())}
            told = self._try_all(interests, line, number)
            reads_like_error = bool(literals & _ANY_ERROR and _LAST_WORDS.search(line.text))
            if not told:
                heeded = any(pattern_safety.heeds_digits(i.pattern) for i in interests)
                self._remember(raw if heeded else shape, reads_like_error=reads_like_error)
        if reads_like_error:
            self._last = (number, raw)

    def _remember(self, shape: bytes, *, reads_like_error: bool) -> None:
        if len(self._shapes) >= MOST_SHAPES:
            self._shapes.clear()
        self._shapes[shape] = reads_like_error

    def _try_all(self, interests: set[_Interest], line: lines.Line, number: int) -> bool:
        """Try the patterns on a line; whether one told something new."""
        harmless = [i for i in interests if i.role == "harmless"]
        matched = [self._try(i, line, number) for i in harmless]
        if any(new is not None for new in matched):
            return any(matched)
        if line.level == "DEBUG":
            interests = {i for i in interests if i.role in ("fact", "success")}
        matched = [self._try(i, line, number) for i in interests.difference(harmless)]
        return any(matched)

    def _try(self, interest: _Interest, line: lines.Line, number: int) -> bool | None:
        """None if the pattern does not match, else whether the place was new and kept."""
        text = line.text if interest.role in _EVIDENCE else line.full
        match = pattern_safety.compiled(interest.pattern).search(text)
        if match is None:
            return None
        if self._is_full(interest):
            return False
        self._places[interest.owner, interest.role].append(_place(line, number, match))
        if self._is_full(interest):
            self._forget(interest.pattern)
        return True

    def _is_full(self, interest: _Interest) -> bool:
        most = MOST_PLACES if interest.role in _EVIDENCE else 1
        return len(self._places.get((interest.owner, interest.role), ())) >= most

    def _forget(self, pattern: str) -> None:
        """Stop looking for literals that only full patterns still ask for."""
        for literal in pattern_safety.required_literals(pattern):
            asking = self._by_literal.get(literal, [])
            if literal not in _ANY_ERROR and asking and all(map(self._is_full, asking)):
                del self._by_literal[literal]
                self._prefilter.forget(literal)


_ANY_ERROR: Final = frozenset({"error: ", "exception: ", "interrupt: ", "exit: "})


def _interests(symptoms: Symptoms) -> Iterator[_Interest]:
    for rule in symptoms.rule:
        yield from _of_rule(rule)
    for entry in symptoms.harmless:
        yield from (_Interest(p, entry.id, "harmless") for p in entry.patterns)
    for fact in symptoms.fact:
        yield from (_Interest(p, fact.name, "fact") for p in fact.patterns)
    yield from (_Interest(p, "", "success") for p in symptoms.success)


def _of_rule(rule: Rule) -> Iterator[_Interest]:
    for role in ("patterns", "unless"):
        yield from (_Interest(p, rule.id, role) for p in getattr(rule, role))
    for role in ("all", "details"):
        patterns = enumerate(getattr(rule, role))
        yield from (_Interest(p, rule.id, f"{role} {n}") for n, p in patterns)


def _windows(start: int, end: int, places: list[int]) -> list[tuple[int, int]]:
    """The parts of a line to look at: all of it, or what is around the places if it is long."""
    if end - start <= 2 * WINDOW:
        return [(start, end)]
    middles = sorted({start + (place - start) // WINDOW * WINDOW for place in places})
    return [(max(start, m - WINDOW // 2), min(end, m + WINDOW + WINDOW // 2)) for m in middles]


def _place(line: lines.Line, number: int, match: re.Match[str]) -> Place:
    text = line.text
    if len(text) > _SHOWN:
        start = max(0, match.start() - _BEFORE)
        text = ("..." if start else "") + text[start : start + _SHOWN] + "..."
    groups = {k: v for k, v in match.groupdict().items() if v is not None}
    return Place(line=number, text=text, level=line.level, groups=groups)


def harmless_entry(symptoms: Symptoms, name: str) -> Harmless:
    """The harmless line with this id."""
    return next(entry for entry in symptoms.harmless if entry.id == name)

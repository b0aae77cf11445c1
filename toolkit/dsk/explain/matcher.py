"""Search of a log for the rules' patterns, block by block, with a bounded number of matches."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from dsk.explain import incidents, lines, pattern_safety, role_patterns, tracebacks
from dsk.explain.prefilter import Prefilter
from dsk.explain.repetition import Repetition
from dsk.explain.search_result import LogMatch, SearchResult

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence

    from dsk.explain.role_patterns import RolePattern
    from dsk.explain.rules import Harmless, Symptoms
    from dsk.explain.tracebacks import Traceback

# Matches kept of one rule's evidence; of everything else one is kept.
MOST_MATCHES: Final = 24
# Lines, or their shapes, remembered as not worth matching again; with more, all are forgotten.
MOST_SHAPES: Final = 20_000
# Lines of a log that was pasted: fewer may show no sign of their program.
MOST_LINES_OF_PASTE: Final = 30
# Exceptions whose tracebacks are read: the log's last ones.
MOST_TRACEBACKS: Final = 32
# Bytes before an exception in which its traceback is searched: a hundred lines with long prefixes.
BYTES_OF_TRACEBACK: Final = 24 << 10
# Bytes after it, for a traceback that was copied upside down.
BYTES_AFTER: Final = 1 << 10
# Bytes of a window on a longer line; as many bytes around it are matched with it.
WINDOW: Final = 2048
# Bytes at the log's start in which repeated text is searched: it is pasted, not logged.
SEARCHED_FOR_LOOPS: Final = 1 << 16
_EVIDENCE: Final = ("patterns", "harmless")
_NO_EVIDENCE: Final = ("harmless", "quoted")
# Roles of which the last line counts, too.
_LAST_COUNTS: Final = ("patterns", "success")
# Translation of a line to its shape, which has every digit made 0.
_SHAPE: Final = bytes.maketrans(b"123456789", b"000000000")
_SHOWN: Final = 400  # characters of a long line, and of those before the match
_BEFORE: Final = 120
# uvicorn's line for a request that the engine answered, and for one that was refused.
_ANSWERED: Final = (b'/completions HTTP/1.1" 200', b'/invocations HTTP/1.1" 200')
_REFUSED: Final = b'HTTP/1.1" 4'
MOST_REFUSALS: Final = 1000


@dataclass(frozen=True)
class _Shape:
    """Result of a line that gave no new match, for all lines like it."""

    reads_like_error: bool
    keys: tuple[tuple[str, str], ...]
    """Keys of `SearchResult.matches` that such a line matches again."""


_NOTHING: Final = _Shape(reads_like_error=False, keys=())


@dataclass(frozen=True)
class _RawException:
    """Line of an exception with what stands around it in the log."""

    line: int
    before: bytes
    after: bytes


@dataclass
class LogSearch:
    """Search in progress: `feed` it blocks in order, then take the `result`."""

    symptoms: Symptoms
    _matches: dict[tuple[str, str], list[LogMatch]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _last_lines: dict[tuple[str, str], int] = field(default_factory=dict)
    _exceptions: deque[_RawException] = field(default_factory=lambda: deque(maxlen=MOST_TRACEBACKS))
    _refusals: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_REFUSALS))
    _answered: int = 0
    _found: set[str] = field(default_factory=set)
    """Literals that need no further search from the next block on."""
    _tail: bytes = b""
    _shapes: dict[bytes, _Shape] = field(default_factory=dict)
    _lines: int = 0
    _repetition: Repetition = field(default_factory=Repetition)
    _loops_left: int = SEARCHED_FOR_LOOPS
    _data: bytes = b""
    _lowered: bytes = b""
    _newlines: int = 0

    def __post_init__(self) -> None:
        self._by_literal: dict[str, list[RolePattern]] = defaultdict(list)
        for pattern in role_patterns.patterns(self.symptoms):
            for literal in pattern_safety.required_literals(pattern.pattern):
                self._by_literal[literal].append(pattern)
        self._prefilter = Prefilter([*self._by_literal, *_ANY_ERROR])
        self._survived = [pattern_safety.compiled(p) for p in self.symptoms.survived]

    def feed(self, block: lines.LogBlock) -> None:
        """Search one block."""
        self._data, self._lowered = block.data, block.data.lower()
        if self._found:
            self._prefilter.forget(self._found)
            self._found = set()
        if self._loops_left > 0:
            self._search_loops(block.data[: self._loops_left], block.first_line)
        shaped, remembered = block.data.translate(_SHAPE), self._shapes.get
        for index, start, end, offsets in self._candidate_lines():
            if remembered(shaped[start:end]) is _NOTHING:  # most lines of a long log
                continue
            for begin, stop in _windows(start, end, offsets):
                self._match(shaped[begin:stop], begin, stop, offsets, block.first_line + index)
        self._note_answers(block)
        self._tail = block.data[-BYTES_OF_TRACEBACK:]
        self._lines = block.first_line + self._newlines - block.data.endswith(b"\n")

    def _note_answers(self, block: lines.LogBlock) -> None:
        """Note where a server answered, without a pattern: an access log is nothing else."""
        last = max(block.data.rfind(answer) for answer in _ANSWERED)
        if last >= 0:
            self._answered = block.first_line + block.data.count(b"\n", 0, last)
        # The last ones are enough: what a refusal covers stands just above it.
        offsets: list[int] = []
        offset = block.data.rfind(_REFUSED)
        while offset >= 0 and len(offsets) < MOST_REFUSALS:
            offsets.append(offset)
            offset = block.data.rfind(_REFUSED, 0, offset)
        number, start = block.first_line, 0
        for offset in reversed(offsets):
            number, start = number + block.data.count(b"\n", start, offset), offset
            self._refusals.append(number)

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
        of_rules = {rule.id for rule in self.symptoms.rule}
        read = [found for raw in self._exceptions if (found := _traceback(raw))]
        return SearchResult(
            matches={key: matches for key, matches in self._matches.items() if key[0] in of_rules},
            facts={
                owner: matches[0].groups["value"]
                for (owner, role), matches in self._matches.items()
                if role == "fact" and owner in facts
            },
            harmless={
                owner: matches for (owner, _), matches in self._matches.items() if owner in harmless
            },
            last_lines=self._last_lines,
            success_line=max(self._last_lines.get(("", "success"), 0), self._answered),
            refusals=tuple(self._refusals),
            tracebacks=tuple(read),
            in_field=self._in_field(),
            foreign=("", "foreign") in self._matches and ("", "field") not in self._matches,
            places=frozenset(owner for owner, role in self._matches if role == "place"),
            last_error=self._last_error(read),
            lines=self._lines,
        )

    def _in_field(self) -> bool:
        """Return True for a log of this field, and for a few lines that show no other one."""
        other = ("", "foreign") in self._matches or self._lines > MOST_LINES_OF_PASTE
        return ("", "field") in self._matches or not other

    def _last_error(self, read: Sequence[Traceback]) -> LogMatch | None:
        incident = incidents.final(self.symptoms, read)
        last = incident.tracebacks[-1] if incident else read[-1] if read else None
        if last is None:
            return None
        return LogMatch(line=last.line, text=last.text[:_SHOWN], level=last.level, groups={})

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
        known = self._shapes.get(shape) or self._shapes.get(raw)
        if known is None:
            inside = (offset for offset in offsets if start <= offset < end)
            literals = self._prefilter.literals_at(self._lowered, inside)
            line = lines.clean(raw)
            patterns = {pattern for text in literals for pattern in self._by_literal.get(text, ())}
            keys, new = self._try_all(patterns, line, number)
            error = (
                keys is not None
                and not literals.isdisjoint(_ANY_ERROR)
                and tracebacks.EXCEPTION.match(line.text) is not None
            )
            known = _Shape(reads_like_error=error, keys=keys or ()) if error or keys else _NOTHING
            if not new:
                # Where no pattern distinguishes digits, all lines of the shape have this result.
                by_digit = any(pattern_safety.distinguishes_digits(p.pattern) for p in patterns)
                self._remember(raw if by_digit else shape, known)
        for key in known.keys:
            self._last_lines[key] = number
        if known.reads_like_error:
            self._note_exception(end, number)

    def _note_exception(self, end: int, number: int) -> None:
        begin = max(0, end - BYTES_OF_TRACEBACK)
        before = self._data[begin:end]
        if begin == 0 and len(before) < BYTES_OF_TRACEBACK and self._lines:
            before = self._tail[len(before) - BYTES_OF_TRACEBACK :] + before
        after = self._data[end + 1 : end + 1 + BYTES_AFTER]
        self._exceptions.append(_RawException(number, before, after))

    def _remember(self, shape: bytes, result: _Shape) -> None:
        if len(self._shapes) >= MOST_SHAPES:
            self._shapes.clear()
        self._shapes[shape] = result

    def _try_all(
        self, patterns: set[RolePattern], line: lines.LogLine, number: int
    ) -> tuple[tuple[tuple[str, str], ...] | None, bool]:
        """Match a line with patterns; return the keys that matched, and if a match was new.

        The keys are None for a line that cannot be evidence.
        """
        # These go first: a line that one of them matches is no evidence of a failure.
        first = [pattern for pattern in patterns if pattern.role in _NO_EVIDENCE]
        matched: dict[RolePattern, bool] = {}
        for pattern in first:
            if (new := self._try(pattern, line, number)) is not None:
                matched[pattern] = new
        if matched:
            return None, any(matched.values())
        if line.level == "DEBUG":
            patterns = {pattern for pattern in patterns if pattern.role in ("fact", "success")}
        for pattern in patterns.difference(first):
            if (new := self._try(pattern, line, number)) is not None:
                matched[pattern] = new
        keys = {(pattern.owner, pattern.role) for pattern in matched}
        return tuple(sorted(key for key in keys if key[1] in _LAST_COUNTS)), any(matched.values())

    def _try(self, pattern: RolePattern, line: lines.LogLine, number: int) -> bool | None:
        """Return None if the pattern does not match, else True if the match was new and kept."""
        text = line.text if pattern.role in _EVIDENCE else line.full
        match = pattern_safety.compiled(pattern.pattern).search(text)
        if match is None:
            return None
        if self._is_full(pattern):
            return False
        survived = any(p.search(line.full) for p in self._survived)
        found = _log_match(line, number, match, survived=survived)
        self._matches[pattern.owner, pattern.role].append(found)
        if self._is_full(pattern) and pattern.role not in _LAST_COUNTS:
            self._forget(pattern.pattern)
        return True

    def _is_full(self, pattern: RolePattern) -> bool:
        most = MOST_MATCHES if pattern.role in _EVIDENCE else 1
        return len(self._matches.get((pattern.owner, pattern.role), ())) >= most

    def _forget(self, pattern: str) -> None:
        """Stop searching for the pattern's literals that no pattern with room needs."""
        for literal in pattern_safety.required_literals(pattern):
            users = self._by_literal.get(literal, [])
            done = (self._is_full(user) and user.role not in _LAST_COUNTS for user in users)
            if literal not in _ANY_ERROR and users and all(done):
                del self._by_literal[literal]
                self._found.add(literal)


_ANY_ERROR: Final = frozenset(
    {"error: ", "exception: ", "interrupt: ", "exit: ", "error('", 'error("', "assertionerror"}
)


def _windows(start: int, end: int, offsets: list[int]) -> list[tuple[int, int]]:
    """Return the parts of a line to match: the whole line, or what is around the offsets."""
    if end - start <= 2 * WINDOW:
        return [(start, end)]
    begins = sorted({start + (offset - start) // WINDOW * WINDOW for offset in offsets})
    half = WINDOW // 2
    return [(max(start, at - half), min(end, at + WINDOW + half)) for at in begins]


def _traceback(raw: _RawException) -> Traceback | None:
    before = [lines.clean(line) for line in raw.before.split(b"\n")]
    after = [lines.clean(line) for line in raw.after.split(b"\n")]
    return tracebacks.read(before, raw.line, after)


def _log_match(
    line: lines.LogLine, number: int, match: re.Match[str], *, survived: bool
) -> LogMatch:
    text = line.text
    if len(text) > _SHOWN:
        start = max(0, match.start() - _BEFORE)
        text = ("..." if start else "") + text[start : start + _SHOWN] + "..."
    groups = {name: value for name, value in match.groupdict().items() if value is not None}
    return LogMatch(line=number, text=text, level=line.level, groups=groups, survived=survived)


def harmless_entry(symptoms: Symptoms, name: str) -> Harmless:
    """Return the harmless line with this id."""
    return next(entry for entry in symptoms.harmless if entry.id == name)

"""Result of searching a log: what matched where, and what else the log shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsk.explain.tracebacks import Traceback


@dataclass(frozen=True, kw_only=True)
class LogMatch:
    """Match of a pattern in a line of the log."""

    line: int
    text: str
    """Message of the line, cut around the match if it is long."""
    level: str
    groups: Mapping[str, str]
    survived: bool = False
    """True if the line itself says that the program goes on."""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """Result of searching the whole log."""

    matches: dict[tuple[str, str], list[LogMatch]]
    """By (id, role): a field of `Rule`, for ``all`` and ``details`` with the pattern's number."""
    facts: dict[str, str]
    harmless: dict[str, list[LogMatch]]
    last_lines: Mapping[tuple[str, str], int]
    """Number of the last line that matched, by the keys of `matches`."""
    success_line: int
    """Number of the last line that shows a success; 0 if none does."""
    refusals: Sequence[int]
    """Numbers of the lines on which a server refused a request, in order."""
    tracebacks: Sequence[Traceback]
    """Last exceptions of the log, in order, each with its calls."""
    in_field: bool
    """True if the log is of this field, or a few lines that show no other one."""
    foreign: bool
    """True if the log shows another program, and nothing of this field."""
    places: frozenset[str]
    """Ids of the places that the log shows."""
    last_error: LogMatch | None
    """Last line that reads like a Python exception, for a log that no rule knows."""
    lines: int

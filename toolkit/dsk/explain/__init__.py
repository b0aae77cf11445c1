"""Explanation of a failure from its log: its known causes, the lines that prove them, the fixes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from dsk.explain import causes, endings, lines, matcher, rules
from dsk.explain.causes import Cause, EvidenceLine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.explain.rules import Symptoms
    from dsk.explain.search_result import SearchResult

__all__ = [
    "Cause",
    "EvidenceLine",
    "Explanation",
    "HarmlessLine",
    "explain_end",
    "explain_text",
]

_SHOWN: Final = 3  # lines of one harmless kind; there may be thousands


@dataclass(frozen=True, kw_only=True)
class HarmlessLine:
    """A kind of line that looks like a failure and is none."""

    rule: str
    why: str
    evidence: tuple[EvidenceLine, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Result of reading a log."""

    causes: tuple[Cause, ...]
    """The likeliest root first; empty if nothing known is in the log."""
    harmless: tuple[HarmlessLine, ...]
    facts: Mapping[str, str]
    """Facts about the environment that the log shows, such as the version of vLLM."""
    lines: int
    last_error: EvidenceLine | None
    """The log's last line that reads like an exception, known or not."""


def explain_text(
    stream: IO[bytes], *, stack: str = "", pins: Mapping[str, str] | None = None
) -> Explanation:
    """Read a log to its end, in bounded memory, and explain what went wrong.

    Args:
        stream: the log's bytes: UTF-8, or UTF-16 with its byte order mark.
        stack: the stack it ran in, if known: fixes then name what that stack pins.
        pins: the stack's versions by package.

    Raises:
        InputUnreadable: the bytes are not a text.
        MatrixInvalid: the rules are not valid.
    """
    symptoms = rules.load()
    return _explanation(symptoms, _searched(symptoms, stream), stack, pins or {})


def explain_end(
    log: bytes, *, stack: str = "", pins: Mapping[str, str] | None = None
) -> Explanation:
    """Explain the end of a server by its log; what it survived is no cause.

    Args:
        log: the log's bytes, as `explain_text` reads them.
        stack: likewise.
        pins: likewise.

    Raises:
        InputUnreadable: the bytes are not a text.
        MatrixInvalid: the rules are not valid.
    """
    symptoms = rules.load()
    whole = _searched(symptoms, io.BytesIO(log))
    end = _searched(symptoms, io.BytesIO(endings.relevant(log)))
    return _explanation(symptoms, endings.merged(whole, end), stack, pins or {})


def _searched(symptoms: Symptoms, stream: IO[bytes]) -> SearchResult:
    search = matcher.LogSearch(symptoms)
    for block in lines.blocks(stream):
        search.feed(block)
    return search.result()


def _explanation(
    symptoms: Symptoms, result: SearchResult, stack: str, pins: Mapping[str, str]
) -> Explanation:
    last = result.last_error
    return Explanation(
        causes=causes.ordered(symptoms, result, stack=stack, pins=pins),
        harmless=tuple(
            HarmlessLine(
                rule=name,
                why=matcher.harmless_entry(symptoms, name).why,
                evidence=tuple(
                    EvidenceLine(line=match.line, text=match.text) for match in matches[:_SHOWN]
                ),
            )
            for name, matches in result.harmless.items()
        ),
        facts=result.facts,
        lines=result.lines,
        last_error=EvidenceLine(line=last.line, text=last.text) if last else None,
    )

"""Explains a failure from its log: which known cause, proved by which lines, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from dsk.explain import causes, lines, matcher, rules
from dsk.explain.causes import Cause, Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Cause", "Evidence", "Explanation", "HarmlessLine", "explain_text"]


@dataclass(frozen=True, kw_only=True)
class HarmlessLine:
    """A line that looks like a failure and is none."""

    rule: str
    why: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a log tells."""

    causes: tuple[Cause, ...]
    """The likeliest root first; empty if nothing known is in the log."""
    harmless: tuple[HarmlessLine, ...]
    facts: Mapping[str, str]
    """What the log tells about the environment, such as the version of vLLM."""
    lines: int
    last_error: Evidence | None
    """The log's last line that reads like an exception, known or not."""


def explain_text(
    stream: IO[bytes], *, stack: str = "", pins: Mapping[str, str] | None = None
) -> Explanation:
    """Read a log to its end, in bounded memory, and say what went wrong.

    Args:
        stream: the log's bytes: UTF-8, or UTF-16 with its byte order mark.
        stack: the stack it ran in, if known: fixes then name what that stack pins.
        pins: the stack's versions by package.

    Raises:
        InputUnreadable: the bytes are not a text.
        MatrixInvalid: the rules are not valid.
    """
    symptoms = rules.load()
    search = matcher.Search(symptoms)
    for block in lines.blocks(stream):
        search.feed(block)
    found = search.findings()
    last = found.last_error
    return Explanation(
        causes=causes.ordered(symptoms, found, stack=stack, pins=pins or {}),
        harmless=tuple(
            HarmlessLine(
                rule=name,
                why=matcher.harmless_entry(symptoms, name).why,
                evidence=tuple(Evidence(line=p.line, text=p.text) for p in places[:3]),
            )
            for name, places in found.harmless.items()
        ),
        facts=found.facts,
        lines=found.lines,
        last_error=Evidence(line=last.line, text=last.text) if last else None,
    )

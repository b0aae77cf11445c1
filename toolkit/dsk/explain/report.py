"""Explanations as text for a person and as JSON for a program."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.explain import Cause, EvidenceLine, Explanation, HarmlessLine

WIDTH: Final = 100
_COLLECT: Final = (
    "the whole log, from its first line, not the last screen: some-command > all.log 2>&1",
    "the command itself and its environment variables (without tokens)",
    "python -m pip freeze, run in the environment that failed",
    "dsk doctor --json",
)


def as_json(explanation: Explanation) -> str:
    """Return the explanation as JSON.

    ``{"causes": [{"rule", "category", "likely", "cause", "fix", "evidence": [{"line", "text"}],
    "source"}], "harmless": [{"rule", "why", "evidence": [{"line", "text"}]}]}``: causes in order,
    the root first; ``likely`` is true where the evidence allows for other causes, too; lines count
    from 1; ``text`` is the line without colours, timestamps and prefixes.
    """
    document: dict[str, Any] = {
        "causes": [
            {
                "rule": cause.rule,
                "category": cause.category,
                "likely": cause.likely,
                "cause": cause.cause,
                "fix": cause.fix,
                "evidence": _evidence(cause.evidence),
                "source": cause.source,
            }
            for cause in explanation.causes
        ],
        "harmless": [
            {"rule": line.rule, "why": line.why, "evidence": _evidence(line.evidence)}
            for line in explanation.harmless
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _evidence(lines: tuple[EvidenceLine, ...]) -> list[dict[str, int | str]]:
    return [{"line": line.line, "text": line.text} for line in lines]


def as_text(explanation: Explanation) -> str:
    """Return the explanation for a person, with lines of at most `WIDTH` characters."""
    parts = [_cause(n, cause) for n, cause in enumerate(explanation.causes, start=1)]
    if not parts:
        parts.append(_nothing_known(explanation))
    parts += [_harmless(line) for line in explanation.harmless]
    return "\n\n".join(parts)


def _cause(number: int, cause: Cause) -> str:
    evidence = [piece for line in cause.evidence for piece in _quoted(line)]
    return "\n".join(
        (
            *_wrapped(f"{number}. ", f"Likely: {cause.cause}" if cause.likely else cause.cause),
            "   Seen:",
            *evidence,
            *_wrapped("   Do:     ", cause.fix),
            f"   Source: {cause.source}",
            f"   Rule:   {cause.rule} ({cause.category})",
        )
    )


def _harmless(line: HarmlessLine) -> str:
    evidence = [piece for quoted in line.evidence for piece in _quoted(quoted)]
    return "\n".join((*_wrapped("Harmless: ", line.why), *evidence))


def _nothing_known(explanation: Explanation) -> str:
    if not explanation.lines:
        return "The log is empty: there is nothing to explain."
    text = [f"No known failure is in this log ({explanation.lines} lines read)."]
    if explanation.last_error:
        text += ["The last line in it that reads like an error:", *_quoted(explanation.last_error)]
    text.append("If something did fail, collect these and open an issue with them:")
    return "\n".join([*text, *(piece for item in _COLLECT for piece in _wrapped("  - ", item))])


def _quoted(evidence: EvidenceLine) -> Iterator[str]:
    start = f"     line {evidence.line}: "
    # A line of a log may have megabytes: two lines of it are enough to recognize it.
    text = textwrap.shorten(evidence.text, width=2 * (WIDTH - len(start)), placeholder=" ...")
    yield from _wrapped(start, text)


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        width=WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    ) or [start.rstrip()]  # textwrap gives no line for an empty text

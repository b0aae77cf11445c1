"""The doctor's findings as text and as JSON, from the same objects."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Final

from pydantic import BaseModel

from dsk.doctor.facts import Facts
from dsk.doctor.judging import Finding, Status

_MARKS: Final[dict[Status, str]] = {
    "ok": "[ok]",
    "warning": "[!]",
    "unknown": "[!]",
    "error": "[x]",
    "skipped": "[-]",
}
_WIDTH: Final = 100
_INDENT: Final = " " * 5


class Report(BaseModel):
    """What `dsk doctor` has to say."""

    dsk: str
    stack: str
    why: str
    findings: list[Finding]
    counts: dict[str, int]
    next: str
    facts: Facts

    @property
    def has_errors(self) -> bool:
        """Whether anything must be mended before the stack runs."""
        return self.counts["error"] > 0


def make(dsk: str, stack: str, why: str, findings: list[Finding], facts: Facts) -> Report:
    """Count the findings and choose the next step: the first command of the worst of them."""
    seen = Counter(finding.status for finding in findings)
    return Report(
        dsk=dsk,
        stack=stack,
        why=why,
        findings=findings,
        counts={status: seen[status] for status in _MARKS},
        next=_next(findings, stack),
        facts=facts,
    )


def text(report: Report) -> str:
    """One line a check; details and commands where it is not ok; counts and the next step last."""
    lines = [f"dsk {report.dsk}, stack {report.stack}: {report.why}", ""]
    for finding in report.findings:
        lines += _told(finding)
    counts = report.counts
    parts = [
        f"{counts['ok']} ok",
        _several(counts["warning"] + counts["unknown"], "warning"),
        _several(counts["error"], "error"),
        f"{counts['skipped']} skipped",
    ]
    return "\n".join([*lines, "", f"{', '.join(parts)}. Next: {report.next}", ""])


def _told(finding: Finding) -> list[str]:
    head = f"{_MARKS[finding.status]:5}{finding.title:18} "
    lines = _wrapped(finding.said, head, " " * len(head))
    if finding.status in ("ok", "skipped"):
        return lines
    for detail in finding.details:
        lines += _wrapped(detail, _INDENT, _INDENT)
    return [*lines, *(f"{_INDENT}$ {command}" for command in finding.commands)]


def _wrapped(said: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        said,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _next(findings: list[Finding], stack: str) -> str:
    for status in ("error", "unknown"):
        for finding in findings:
            if finding.status == status and finding.commands:
                return _step(finding)
    make_environment = [finding.commands[0] for finding in findings if _wants_environment(finding)]
    return make_environment[0] if make_environment else f"dsk demo --stack {stack}"


def _step(finding: Finding) -> str:
    if len(finding.commands) == 1:
        return finding.commands[0]
    return f"the {len(finding.commands)} commands under '{finding.title}', in order"


def _wants_environment(finding: Finding) -> bool:
    return finding.check == "environment" and finding.status == "warning"


def _several(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

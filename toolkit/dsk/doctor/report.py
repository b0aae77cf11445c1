"""The report of `dsk doctor`, as text and as JSON from the same objects."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from typing import Final

from pydantic import BaseModel

from dsk.doctor.check import CheckStatus, Finding
from dsk.host.facts import Facts

_MARKS: Final[dict[CheckStatus, str]] = {
    "ok": "[ok]",
    "warning": "[!]",
    "unknown": "[!]",  # as a warning: nothing is known to be wrong
    "error": "[x]",
    "skipped": "[-]",
}
_WIDTH: Final = 100
_INDENT: Final = " " * 5
_SHORT: Final = 50  # characters of a command that the last line can hold


class Report(BaseModel):
    """Findings about a host, their counts, and the next step."""

    dsk: str
    stack: str
    why: str
    findings: list[Finding]
    counts: dict[str, int]
    next: str
    facts: Facts

    @property
    def has_errors(self) -> bool:
        """True if anything must be fixed before the stack runs."""
        return self.counts["error"] > 0

    @property
    def has_warnings(self) -> bool:
        """True if anything may matter, or could not be checked."""
        return self.counts["warning"] + self.counts["unknown"] > 0


def make(
    dsk: str, stack: str, why: str, findings: list[Finding], facts: Facts, *, model: str = ""
) -> Report:
    """Return a report with the findings counted and the next step chosen from the worst of them.

    Args:
        dsk: its version.
        stack: the id of the stack that was checked for.
        why: why that one, in words.
        findings: the checks', in their order.
        facts: what they were made from.
        model: the option that names the model in commands; empty for the default one.
    """
    counts = Counter(finding.status for finding in findings)
    return Report(
        dsk=dsk,
        stack=stack,
        why=why,
        findings=findings,
        counts={status: counts[status] for status in _MARKS},
        next=_next(findings, f"dsk demo --stack {stack}{model}"),
        facts=facts,
    )


def schema() -> str:
    """Return the JSON schema of `dsk doctor --json`, the content of ``schemas/doctor.json``."""
    schema = Report.model_json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def text(report: Report) -> str:
    """Return the report as text: the findings, their counts, the next step."""
    lines = [f"dsk {report.dsk}, stack {report.stack}: {report.why}", ""]
    for finding in report.findings:
        lines += lines_of(finding)
    counts = report.counts
    parts = [
        f"{counts['ok']} ok",
        _plural(counts["warning"] + counts["unknown"], "warning"),
        _plural(counts["error"], "error"),
        f"{counts['skipped']} skipped",
    ]
    return "\n".join([*lines, "", f"{', '.join(parts)}. Next: {report.next}", ""])


def lines_of(finding: Finding) -> list[str]:
    """Return a finding as text: one line if it is ok or skipped, else details and commands too."""
    head = f"{_MARKS[finding.status]:5}{finding.title:18} "
    lines = _wrapped(finding.said, head, " " * len(head))
    if finding.status in ("ok", "skipped"):
        return lines
    for detail in finding.details:
        lines += _wrapped(detail, _INDENT, _INDENT)
    # Commands are not wrapped: they are pasted into a shell.
    return [*lines, *(f"{_INDENT}$ {command}" for command in finding.commands)]


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    # Names of packages and options have hyphens: a name that is broken there cannot be copied.
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _next(findings: list[Finding], demo: str) -> str:
    """Return the next step: fix the first error, then create the environment, then the demo."""
    for status in ("error", "unknown"):
        for finding in findings:
            if finding.status == status and finding.commands:
                return _step(finding)
    # Other warnings can wait; without the environment nothing runs.
    create = [finding.commands[0] for finding in findings if _lacks_environment(finding)]
    return create[0] if create else demo


def _step(finding: Finding) -> str:
    if len(finding.commands) > 1:
        return f"the {len(finding.commands)} commands under '{finding.title}', in order"
    short = len(finding.commands[0]) <= _SHORT
    return finding.commands[0] if short else f"the command under '{finding.title}'"


def _lacks_environment(finding: Finding) -> bool:
    return finding.check == "environment" and finding.status == "warning"


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

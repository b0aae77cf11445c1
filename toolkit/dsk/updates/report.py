"""The report of a candidate: Markdown for a pull request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dsk.locks import lock_file
from dsk.updates.promotion import uncovered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dsk.matrix import Stack
    from dsk.matrix.evidence import Evidence
    from dsk.updates.wheel_finding import WheelFinding


@dataclass(frozen=True, kw_only=True)
class CandidateReport:
    """Everything that is known of a candidate.

    Args:
        live: its stack as it is.
        candidate: the candidate.
        conflicts: contradictions between its wheels' requirements, or why it does not resolve.
        findings: the static checks of its wheels.
        known: all evidence.
        notes: lines about the policy.
    """

    live: Stack
    candidate: Stack
    conflicts: Sequence[str]
    findings: Sequence[WheelFinding]
    known: Sequence[Evidence] = field(repr=False)
    notes: Sequence[str] = ()

    @property
    def faults(self) -> list[str]:
        """Faults that keep the candidate from running, each in a line."""
        wrong = [finding.line for finding in self.findings if finding.result == "fault"]
        return [*self.conflicts, *wrong]

    @property
    def unknown(self) -> list[str]:
        """Checks that could not be made, each in a line."""
        return [finding.line for finding in self.findings if finding.result == "unknown"]


def markdown(report: CandidateReport) -> str:
    """Return the report of one candidate."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: CandidateReport) -> Iterator[str]:
    live, candidate = report.live, report.candidate
    yield f"## `{candidate.id}` beside `{live.id}`"
    yield ""
    yield from (f"- {note}" for note in report.notes)
    yield f"- its lock holds what the index had before {candidate.resolve_before}"
    faults = report.faults
    if faults:
        yield f"- **It would not run: {len(faults)} fault{'' if len(faults) == 1 else 's'}.**"
    elif report.unknown:
        yield "- Some checks could not be made."
    else:
        yield "- Every check of its wheels passes; nothing of it was installed or run here."
    yield ""
    yield from _table(("pin", "now", "candidate"), _pins(live, candidate))
    yield from _checks(report)
    yield from _packages(live, candidate)
    yield from _evidence(report)


def _pins(live: Stack, candidate: Stack) -> list[tuple[str, str, str]]:
    names = dict.fromkeys([*candidate.pins, *live.pins])
    return [(name, live.pins.get(name, ""), candidate.pins.get(name, "")) for name in names]


def _checks(report: CandidateReport) -> Iterator[str]:
    rows = [("requirements", "fault", conflict) for conflict in report.conflicts]
    rows = rows or [("requirements", "right", "every requirement is met, or stated as an override")]
    rows += [(finding.check, finding.result, finding.text) for finding in report.findings]
    yield from _table(("check", "result", "evidence"), rows)


def _packages(live: Stack, candidate: Stack) -> Iterator[str]:
    if not (candidate.lock_file.is_file() and live.lock_file.is_file()):
        return
    before, after = (
        {package.name: package.version for package in lock_file.parse(stack.lock_file)}
        for stack in (live, candidate)
    )
    moved = [
        (name, before.get(name, "-"), after.get(name, "-"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    yield f"{len(moved)} of {len(after)} locked packages come, go or change:"
    yield ""
    yield "<details><summary>packages</summary>"
    yield ""
    yield from _table(("package", "now", "candidate"), moved)
    yield "</details>"
    yield ""


def _evidence(report: CandidateReport) -> Iterator[str]:
    missing = uncovered(report.live, report.candidate, report.known)
    if missing:
        yield f"Before `dsk matrix promote {report.candidate.id}` it has to be seen to run on:"
        yield ""
        yield from (f"- {proof.text}" for proof in missing)
        yield ""
        yield f"`dsk matrix probe --stack {report.candidate.id}`, on each, records that."
    else:
        yield f"Its evidence covers that of `{report.live.id}`: `dsk matrix promote` may follow."
    yield ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""

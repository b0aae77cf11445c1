"""The audit: every known vulnerability of a target's packages against the statements about it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.advisories.osv import known_as, vulnerabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from dsk.advisories.osv import AdvisorySnapshot, Vulnerability
    from dsk.advisories.vex import VexStatement

# A statement is looked at again once a year: code that was out of reach may be used by then.
VALID: Final = dt.timedelta(days=365)
# A snapshot older than that is reported: a database gets new entries every day.
FRESH: Final = dt.timedelta(days=60)
# A rating that the databases do not give may be high.
_SEVERE: Final = ("critical", "high", "unknown")


@dataclass(frozen=True, kw_only=True)
class Target:
    """Packages that are installed together.

    Args:
        name: of the stack, or another name for what is audited.
        packages: normalised names and versions.
        pins: packages whose version is a decision of the project, not to be lifted.
    """

    name: str
    packages: tuple[tuple[str, str], ...]
    pins: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """A vulnerability of a target, and the statement about it if there is one."""

    target: str
    vulnerability: Vulnerability
    statement: VexStatement | None

    @property
    def status(self) -> str:
        """OpenVEX status, or that there is none."""
        return self.statement.status if self.statement else "no statement"

    @property
    def reachable(self) -> bool:
        """True unless a statement says that the vulnerability cannot be used or is fixed."""
        return self.status not in ("not_affected", "fixed")

    @property
    def severe(self) -> bool:
        """True if it is rated high or critical, or not rated."""
        return self.vulnerability.rating in _SEVERE


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """Result of an audit of one target.

    Args:
        target: its name.
        findings: by package, the worst first.
        faults: what makes the audit fail, a sentence each.
        unknown: packages that the snapshot's sources were not asked about.
    """

    target: str
    findings: tuple[AuditFinding, ...]
    faults: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def reachable(self) -> tuple[AuditFinding, ...]:
        """Findings that an attacker may use."""
        return tuple(finding for finding in self.findings if finding.reachable)


def audit(
    target: Target,
    snapshot: AdvisorySnapshot,
    statements: Iterable[VexStatement],
    *,
    resolves: Callable[[str, str], bool] | None = None,
    root: Path | None = None,
) -> AuditReport:
    """Judge a target's packages.

    Args:
        target: what is installed together.
        snapshot: what is known of its packages.
        statements: those about the target.
        resolves: returns True if the target can have a package in this version or a later one;
            asked about the severe vulnerabilities that are reachable and fixed. None: not asked.
        root: folder in which the tests that statements name must be; None: not looked at.
    """
    statements = tuple(statements)
    findings: list[AuditFinding] = []
    faults: list[str] = []
    used: set[int] = set()
    for vulnerability in vulnerabilities(snapshot, target.packages):
        about = [at for at, each in enumerate(statements) if _is_about(each, vulnerability)]
        used.update(about)
        statement = statements[about[0]] if about else None
        finding = AuditFinding(target=target.name, vulnerability=vulnerability, statement=statement)
        findings.append(finding)
        faults += _faults(finding, target, resolves)
        if len(about) > 1:
            faults.append(f"{_title(vulnerability)} has {len(about)} statements: leave one")
    for at, statement in enumerate(statements):
        faults += _faults_of_statement(statement, snapshot, stale=at not in used, root=root)
    asked = set(snapshot.packages)
    return AuditReport(
        target=target.name,
        findings=tuple(findings),
        faults=tuple(faults),
        unknown=tuple(name for name, _ in target.packages if known_as(name) not in asked),
    )


def _is_about(statement: VexStatement, vulnerability: Vulnerability) -> bool:
    names = {vulnerability.id, *vulnerability.aliases}
    package = (vulnerability.package, vulnerability.version)
    return bool(statement.names & names) and package in statement.packages


def _title(known: Vulnerability) -> str:
    return f"{known.package} {known.version}: {known.id} ({known.rating})"


def _faults(
    finding: AuditFinding, target: Target, resolves: Callable[[str, str], bool] | None
) -> list[str]:
    known = finding.vulnerability
    title = _title(known)
    if finding.statement is None:
        return [f"{title} has no statement"]
    urgent = finding.reachable and finding.severe and known.package not in target.pins
    fixed = known.fixed_in if urgent else None
    if fixed and resolves and resolves(known.package, fixed):
        return [f"{title} is reachable, and {fixed} or later can be had"]
    return []


def _faults_of_statement(
    statement: VexStatement, snapshot: AdvisorySnapshot, *, stale: bool, root: Path | None
) -> list[str]:
    title = f"the statement about {statement.vulnerability.name}"
    faults = []
    if stale:
        packages = ", ".join(" ".join(package) for package in sorted(statement.packages))
        faults.append(
            f"{title} is stale: {packages} is not locked, or not known to be vulnerable by it"
        )
    if snapshot.date - statement.timestamp.date() > VALID:
        faults.append(f"{title} is of {statement.timestamp:%Y-%m-%d}: look at it again")
    missing = [test for test in statement.tests if root and not _exists(root, test)]
    faults += [f"{title} names {test}, which does not exist" for test in missing]
    return faults


def _exists(root: Path, test: str) -> bool:
    """Return True if a test exists, given as a file or as ``file::function``."""
    file, _, function = test.partition("::")
    path = root / file
    return path.is_file() and (not function or f"def {function}(" in path.read_text("utf-8"))


def summary(report: AuditReport) -> str:
    """Return a report in a line."""
    count = len(report.findings)
    if not count:
        return "no known vulnerability"
    reachable = len(report.reachable)
    known = "1 known vulnerability" if count == 1 else f"{count} known vulnerabilities"
    return f"{known}, {reachable or 'none'} of them reachable"


def reachable_notes(report: AuditReport) -> list[str]:
    """Return a line on each vulnerability that can be reached: its name, and what to do."""
    return [
        f"{known.package} {known.version}: {known.id} ({known.rating}): "
        f"{finding.statement.guard if finding.statement else 'nothing is said about it'}"
        for finding in report.reachable
        for known in (finding.vulnerability,)
    ]

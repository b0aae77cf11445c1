"""`dsk matrix audit`: the known vulnerabilities of every lock, and what is said about each."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import click

from dsk import console
from dsk.errors import UsageProblem, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dsk.advisories.audit import AuditFinding, AuditReport, Target
    from dsk.advisories.osv import AdvisorySnapshot
    from dsk.matrix import Matrix


@click.command("audit")
@click.argument("names", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--refresh", is_flag=True, help="First write compat/advisories.json anew, from osv.dev."
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings and faults as JSON.")
def command(names: tuple[str, ...], refresh: bool, as_json: bool) -> None:
    """Judge the known vulnerabilities of every lock.

    A target is a stack; `dsk`: the oldest dependencies that it runs with; or, in a clone of the
    repository, `development`: its tools. All by default. What is known comes from
    compat/advisories.json, what it means from compat/vex. Exits with code 10 if a vulnerability
    has no statement, a statement is stale or a year old, or a newer release would mend a severe
    vulnerability that can be reached.
    """
    from dsk import paths
    from dsk.advisories import audit, osv, targets, vex
    from dsk.matrix import load_matrix

    matrix = load_matrix()
    known = targets.targets(matrix)
    if strange := set(names) - known.keys():
        what = f"there is no target '{min(strange)}'"
        raise UsageProblem(what, do=f"one of {', '.join(known)}")
    chosen = [known[name] for name in names or known]
    if refresh:
        _refresh(list(known.values()), matrix.folder)
    snapshot = osv.load(matrix.folder)
    root = paths.CHECKOUT if paths.in_checkout() else None
    reports = [
        audit.audit(
            target,
            snapshot,
            vex.load(matrix.folder, target.name),
            resolves=_resolver(matrix, target.name),
            root=root,
        )
        for target in chosen
    ]
    if as_json:
        console.echo_json(json.dumps(_as_json(reports, snapshot), indent=2))
    else:
        _print(reports, snapshot)
    if faults := [fault for report in reports for fault in report.faults]:
        others = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        what = f"the audit failed: {faults[0]}{others}"
        raise VerificationFailed(what, do="lift the package, or write a statement in compat/vex")


def _refresh(targets: list[Target], folder: Path) -> None:
    from dsk.advisories import osv
    from dsk.advisories.refresh import fetch
    from dsk.files import write_atomically

    names = {osv.known_as(name) for target in targets for name, _ in target.packages}
    snapshot = fetch(names, today=dt.datetime.now(dt.UTC).date())
    write_atomically(folder / osv.FILE, osv.dump(snapshot))
    console.echo(f"wrote {folder / osv.FILE}: {len(snapshot.advisories)} advisories", err=True)


def _resolver(matrix: Matrix, target: str) -> Callable[[str, str], bool]:
    """Return a function that tells whether a target can have a later release of a package."""
    from dsk.locks.resolve import admits

    def resolves(package: str, version: str) -> bool:
        # Nothing holds back what is no stack's lock.
        return target not in matrix.stacks or admits(matrix.stack(target), package, version)

    return resolves


def _print(reports: list[AuditReport], snapshot: AdvisorySnapshot) -> None:
    from dsk.advisories.audit import FRESH, summary

    for report in reports:
        console.echo(f"{report.target}: {summary(report)}")
        # Those that can be reached come first: a list of a hundred hides the one that matters.
        findings = sorted(report.findings, key=lambda finding: not finding.reachable)
        for line in _table([_row(finding) for finding in findings]):
            console.echo(line)
    for report in reports:
        for fault in report.faults:
            console.echo(f"{report.target}: {fault}", err=True)
    for source in snapshot.sources:
        note = f": {source.note}" if source.note else ""
        console.echo(f"source of {source.date}: {source.name}{note}", err=True)
    if unknown := sorted({name for report in reports for name in report.unknown}):
        console.warn(
            f"{len(unknown)} packages were not looked up, among them {', '.join(unknown[:5])}: "
            "dsk matrix audit --refresh, with a network, looks all of them up"
        )
    age = dt.datetime.now(dt.UTC).date() - snapshot.date
    if age > FRESH:
        console.warn(
            f"the advisories are of {snapshot.date}, {age.days} days ago: "
            "dsk matrix audit --refresh brings today's"
        )


def _row(finding: AuditFinding) -> tuple[str, ...]:
    known = finding.vulnerability
    score = f" {known.score}" if known.score is not None else ""
    return (
        f"{known.package} {known.version}",
        known.id,
        f"{known.rating}{score}",
        f"fixed in {known.fixed_in}" if known.fixed_in else "no fix known",
        finding.status.replace("_", " "),
        finding.statement.guard if finding.statement else "",
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as text in columns; the last cell, which is a sentence, under each row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, sentence in rows:
        padded = (f"{cell:{width}}" for cell, width in zip(cells, widths, strict=False))
        yield f"  {'  '.join(padded)}".rstrip()
        if sentence:
            yield f"      {sentence}"


def _as_json(reports: list[AuditReport], snapshot: AdvisorySnapshot) -> dict[str, Any]:
    return {
        "snapshot": snapshot.model_dump(mode="json", include={"date", "complete", "sources"}),
        "targets": {
            report.target: {
                "findings": [
                    finding.vulnerability.model_dump(mode="json")
                    | {
                        "status": finding.status,
                        "justification": finding.statement and finding.statement.justification,
                        "guard": finding.statement and finding.statement.guard,
                        "tests": finding.statement.tests if finding.statement else (),
                    }
                    for finding in report.findings
                ],
                "faults": report.faults,
                "not_looked_up": report.unknown,
            }
            for report in reports
        },
    }

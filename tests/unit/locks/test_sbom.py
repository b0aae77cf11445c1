"""A stack's bill of materials."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dsk import __version__
from dsk.errors import UsageProblem
from dsk.locks import lock_file
from dsk.locks.inventory import InstalledWheel, Inventory, SystemPackage
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


def parts(bill: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in bill["components"]}


def test_every_locked_file_is_in_it_by_its_hash(stack: Stack) -> None:
    hashes = {
        name: part["hashes"][0]["content"]
        for name, part in parts(read(stack)).items()
        if part["purl"].startswith("pkg:pypi/")
    }
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


def test_dsk_python_base_and_system_packages_are_in_it(stack: Stack) -> None:
    bill = read(stack)
    assert stack.image
    found = parts(bill)
    assert found["dsk-toolkit"]["version"] == __version__
    assert f"pkg:generic/python@{stack.python}" in {part["purl"] for part in bill["components"]}
    assert set(stack.image.packages) <= set(found)
    name, _, digest = stack.image.runtime.partition("@sha256:")
    (base,) = [part for part in bill["components"] if part["type"] == "container"]
    assert f"{base['name']}:{base['version']}" == name
    assert base["hashes"] == [{"alg": "SHA-256", "content": digest}]
    (asked,) = [
        one["dependsOn"]
        for one in bill["dependencies"]
        if one["ref"] == bill["metadata"]["component"]["bom-ref"]
    ]
    assert {base["bom-ref"], found["dsk-toolkit"]["bom-ref"]} <= set(asked)


def test_what_dsk_requires_hangs_on_dsk() -> None:
    needs = {one["ref"]: one.get("dependsOn", []) for one in read(STACKS["v0"])["dependencies"]}
    (dsk,) = [ref for ref in needs if "dsk-toolkit" in ref]
    assert any(need.startswith("pkg:pypi/pymupdf@") for need in needs[dsk])


def test_licences_that_bind_are_named(stack: Stack) -> None:
    found = parts(read(stack))
    assert found["pymupdf"]["licenses"] == [{"license": {"id": "AGPL-3.0-only"}}]
    assert found["tqdm"]["licenses"] == [{"expression": "MPL-2.0 AND MIT"}]
    assert found["dsk-toolkit"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]


INVENTORY = Inventory(
    distribution="debian-12",
    python="3.11.2",
    system=(SystemPackage(name="bash", version="5.2.15-2+b2", architecture="amd64"),),
    wheels=(
        InstalledWheel(name="Jinja2", version="3.1.6", licence="BSD-3-Clause"),
        InstalledWheel(name="torch", version="2.6.0", licence="made up, see LICENSE"),
    ),
)


def test_of_a_built_image_it_has_the_versions_and_licences_that_are_in_it(stack: Stack) -> None:
    text = sbom(stack, INVENTORY)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert sbom(stack, INVENTORY) == text
    found = parts(json.loads(text))
    purls = {part["purl"] for part in json.loads(text)["components"]}
    assert "pkg:generic/python@3.11.2" in purls
    assert found["bash"]["purl"] == (
        "pkg:deb/debian/bash@5.2.15-2%2Bb2?arch=amd64&distro=debian-12"
    )
    assert found["jinja2"]["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert found["torch"]["licenses"] == [{"license": {"name": "made up, see LICENSE"}}]
    assert json.loads(text)["serialNumber"] != read(stack)["serialNumber"]


def test_its_time_is_the_lock_s_or_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(STACKS["v0"])["metadata"]["timestamp"] == "2026-11-21T00:00:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1763683200")
    assert read(STACKS["v0"])["metadata"]["timestamp"] == "2025-11-21T00:00:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageProblem, match="'yesterday': set it to seconds since 1970"):
        sbom(STACKS["v0"])


def test_two_locks_have_two_serial_numbers() -> None:
    assert len({read(stack)["serialNumber"] for stack in STACKS.values()}) == len(STACKS)

"""Advisories, statements and targets, small and made up."""

from __future__ import annotations

from typing import Any

from dsk.advisories.audit import Target
from dsk.advisories.osv import Advisory, AdvisorySnapshot
from dsk.advisories.vex import VexStatement

TODAY = "2026-11-30"


def advisory(
    name: str = "GHSA-1",
    package: str = "part",
    *events: dict[str, str],
    kind: str = "ECOSYSTEM",
    **fields: Any,
) -> Advisory:
    """Return an advisory; without events, one about every version before 2.0."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": package},
        "ranges": [{"type": kind, "events": events or [{"introduced": "0"}, {"fixed": "2.0"}]}],
    }
    return Advisory.model_validate({"id": name, "affected": [affected]} | fields)


def snapshot(*advisories: Advisory, **fields: Any) -> AdvisorySnapshot:
    """Return a snapshot whose sources were asked about the package ``part``."""
    given = {
        "date": TODAY,
        "complete": True,
        "sources": [{"name": "a test", "date": TODAY}],
        "packages": ["part"],
        "advisories": advisories,
    }
    return AdvisorySnapshot.model_validate(given | fields)


def statement(
    name: str = "GHSA-1",
    package: str = "part",
    version: str = "1.0",
    target: str = "toy",
    **fields: Any,
) -> VexStatement:
    """Return a statement; one that says of a package that it is not affected."""
    given = {
        "vulnerability": {"name": name},
        "timestamp": f"{TODAY}T00:00:00Z",
        "products": [
            {
                "@id": f"pkg:generic/dsk/{target}",
                "subcomponents": [{"@id": f"pkg:pypi/{package}@{version}"}],
            }
        ],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
        "impact_statement": "Nobody calls it.",
    }
    return VexStatement.model_validate(given | fields)


def affected(name: str = "GHSA-1", **fields: Any) -> VexStatement:
    """Return a statement that says of a package that it is affected."""
    own = {"status": "affected", "justification": None, "impact_statement": ""}
    return statement(name, **own | {"action_statement": "Do not use it."} | fields)


TARGET = Target(name="toy", packages=(("part", "1.0"),))

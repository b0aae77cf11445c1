"""Patterns of the rules with the roles that they have in a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.explain.rules import Rule, Symptoms


@dataclass(frozen=True)
class RolePattern:
    """Pattern with the id of its owner, such as a rule, and its role there."""

    pattern: str
    owner: str
    role: str


def patterns(symptoms: Symptoms) -> Iterator[RolePattern]:
    """Yield the patterns of all rules, harmless lines, facts and places, each with its role."""
    for rule in symptoms.rule:
        yield from _of_rule(rule)
    for entry in symptoms.harmless:
        yield from (RolePattern(pattern, entry.id, "harmless") for pattern in entry.patterns)
    for fact in symptoms.fact:
        yield from (RolePattern(pattern, fact.name, "fact") for pattern in fact.patterns)
    for place in symptoms.place:
        yield from (RolePattern(pattern, place.id, "place") for pattern in place.patterns)
    yield from (RolePattern(pattern, "", "success") for pattern in symptoms.success)
    yield from (RolePattern(pattern, "", "field") for pattern in symptoms.field)
    yield from (RolePattern(pattern, "", "foreign") for pattern in symptoms.foreign)
    yield from (RolePattern(pattern, "", "quoted") for pattern in symptoms.quoted)


def _of_rule(rule: Rule) -> Iterator[RolePattern]:
    for role in ("patterns", "unless"):
        yield from (RolePattern(pattern, rule.id, role) for pattern in getattr(rule, role))
    for role in ("all", "details"):
        numbered = enumerate(getattr(rule, role))
        yield from (
            RolePattern(pattern, rule.id, f"{role} {number}") for number, pattern in numbered
        )

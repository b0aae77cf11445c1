"""From places in a log to causes in order: the root first, its consequences after it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from dsk.explain.matcher import MOST_PLACES, Findings, Place
from dsk.explain.rules import OPTIONAL, PLACEHOLDER, Category, Rule, Symptoms

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CAUSES: Final = 5
MOST_EVIDENCE: Final = 5
_RANKS: Final = {"root": 0, "consequence": 1, "hint": 2}
_AN_ERROR: Final = re.compile(r"[\w.]{0,80}(?:Error|Exception)\b")
_ONLY_WARNED: Final = ("INFO", "WARNING")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A line of the log, by its number from 1."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause, with what proves it and what to do."""

    rule: str
    category: Category
    cause: str
    fix: str
    evidence: tuple[Evidence, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    rule: Rule
    places: tuple[Place, ...]
    order: tuple[int, int]


def ordered(
    symptoms: Symptoms, findings: Findings, *, stack: str = "", pins: Mapping[str, str]
) -> tuple[Cause, ...]:
    """The causes, the likeliest root first.

    Roots come before consequences, and a hint is kept only where there is neither; among equals,
    what the log tells first. What was only warned of is no cause. ``pins`` are the stack's versions
    by package, empty if no stack was named.
    """
    candidates = [c for rule in symptoms.rule if (c := _candidate(rule, findings))]
    candidates = _most_specific(candidates)
    candidates.sort(key=lambda c: c.order)
    if candidates and candidates[0].order[0] < _RANKS["hint"]:
        candidates = [c for c in candidates if c.order[0] < _RANKS["hint"]]
    return tuple(_cause(c, findings, stack, pins) for c in candidates[:MOST_CAUSES])


def _candidate(rule: Rule, findings: Findings) -> _Candidate | None:
    found = findings.places
    places = found.get((rule.id, "patterns"), [])
    if not places or (rule.id, "unless") in found:
        return None
    if any((rule.id, f"all {n}") not in found for n in range(len(rule.all))):
        return None
    if not all(_may_be(findings.facts.get(k, ""), asked) for k, asked in rule.when.items()):
        return None
    return _ranked(rule, tuple(places), succeeded=findings.succeeded)


def _ranked(rule: Rule, places: tuple[Place, ...], *, succeeded: bool) -> _Candidate | None:
    """The candidate with its order; None if nothing failed, or the run did well in spite of it."""
    failed = tuple(p for p in places if rule.warning_counts or rule.rank == "hint" or _failed(p))
    if not failed or (succeeded and rule.rank == "hint"):
        return None
    return _Candidate(rule=rule, places=failed, order=(_RANKS[rule.rank], failed[0].line))


def _failed(place: Place) -> bool:
    """Whether the line tells of a failure: what was logged as a warning does if it is an error."""
    return place.level not in _ONLY_WARNED or bool(_AN_ERROR.match(place.text))


def _may_be(version: str, asked: str) -> bool:
    """Whether the version is in the range; one that is not known, or not a version, may be."""
    try:
        return not version or SpecifierSet(asked).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _most_specific(candidates: list[_Candidate]) -> list[_Candidate]:
    """Take from each rule the lines that a more specific rule explains; drop it if none is left."""
    kept = []
    for candidate in candidates:
        places = candidate.places
        for other in candidates:
            if other.rule.specificity > candidate.rule.specificity:
                places = _left_by(other.places, places)
        if places:
            kept.append(
                _Candidate(
                    rule=candidate.rule,
                    places=places,
                    order=(candidate.order[0], places[0].line),
                )
            )
    return kept


def _left_by(specific: tuple[Place, ...], places: tuple[Place, ...]) -> tuple[Place, ...]:
    """The places a more specific rule leaves; past its last kept place, a full rule takes all."""
    taken = {place.line for place in specific}
    last = specific[-1].line if len(specific) >= MOST_PLACES else None
    overlap = any(place.line in taken for place in places)
    return tuple(
        place
        for place in places
        if place.line not in taken and not (overlap and last is not None and place.line > last)
    )


def _cause(candidate: _Candidate, findings: Findings, stack: str, pins: Mapping[str, str]) -> Cause:
    rule = candidate.rule
    roles = [f"all {n}" for n in range(len(rule.all))]
    roles += [f"details {n}" for n in range(len(rule.details))]
    more = [place for role in roles for place in findings.places.get((rule.id, role), [])]
    values = dict(findings.facts)
    for place in (*reversed(more), *reversed(candidate.places)):
        values |= place.groups
    return Cause(
        rule=rule.id,
        category=rule.category,
        cause=fill(rule.cause, values),
        fix=_fix(rule, values, stack, pins),
        evidence=_evidence((*candidate.places, *more)),
        source=rule.sources[0],
    )


def _fix(rule: Rule, values: Mapping[str, str], stack: str, pins: Mapping[str, str]) -> str:
    fix = fill(rule.fix_for.get(stack, rule.fix), values)
    pinned = [f"{name}=={pins[name]}" for name in rule.packages if name in pins]
    if not pinned:
        return fix
    return f"{fix} Stack {stack} pins {', '.join(pinned)}."


def _evidence(places: tuple[Place, ...]) -> tuple[Evidence, ...]:
    """The first of the places, each line once, in the log's order."""
    unique: dict[int, Evidence] = {}
    for place in places:
        unique.setdefault(place.line, Evidence(line=place.line, text=place.text))
    return tuple(sorted(list(unique.values())[:MOST_EVIDENCE], key=lambda e: e.line))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced by what the log says, or by what stands after |.

    A part in square brackets is left out where the log does not tell its placeholder.
    """
    text = OPTIONAL.sub(lambda m: m["text"] if values.get(m["name"]) else "", text)
    return PLACEHOLDER.sub(lambda m: values.get(m["name"]) or m["otherwise"] or "", text)

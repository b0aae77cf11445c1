"""Causes in order, made of a search's matches: the root first, its consequences after it."""

from __future__ import annotations

import bisect
import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from dsk.explain import borders, incidents, stages
from dsk.explain.matcher import MOST_MATCHES
from dsk.explain.rules import OPTIONAL, PLACEHOLDER, Category, Rule, Symptoms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsk.explain.search_result import LogMatch, SearchResult

MOST_CAUSES: Final = 5
MOST_EVIDENCE: Final = 5
_RANKS: Final = {"root": 0, "consequence": 1, "hint": 3}
# Rank of a failure that the program went on after; it counts where nothing else failed.
_SURVIVED: Final = 2
# Lines before a refused request that can belong to its traceback.
_OF_REFUSAL: Final = 80
# Processes that compute: what ends one of them is no answer to one client.
_ENGINE: Final = re.compile(r"Engine|Worker")
OWN_PLACE: Final = "dsk"
_ERROR_NAME: Final = re.compile(r"[\w.]{0,80}(?:Error|Exception)\b")
# Imports that vLLM and SGLang log as warnings and fail of later on.
_FAILED_IMPORT: Final = re.compile(r"Failed to import from [\w.]{1,80} with \w{0,20}Error\(")
_BELOW_ERROR: Final = ("INFO", "WARNING")


@dataclass(frozen=True, kw_only=True)
class EvidenceLine:
    """Line of the log that proves a cause, by its number from 1."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Known cause of the failure, with its evidence and its fix."""

    rule: str
    category: Category
    cause: str
    fix: str
    evidence: tuple[EvidenceLine, ...]
    source: str
    likely: bool
    """True if the evidence allows for other causes, too."""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    rule: Rule
    matches: tuple[LogMatch, ...]
    rank: int


def ordered(
    symptoms: Symptoms, result: SearchResult, *, stack: str = "", pins: Mapping[str, str]
) -> tuple[Cause, ...]:
    """Return the causes, the likeliest root first.

    What a later success overcame is no cause. Roots come before consequences, then what the
    program went on after, and hints only where there is no root and no consequence. Among equals,
    what stands in the traceback that ended the log leads, then the first in the log. Lines that
    were logged as warnings are no cause.

    Args:
        symptoms: the rules.
        result: what they matched in the log.
        stack: the id of the stack that failed; empty if none was named.
        pins: the stack's versions by package; empty if no stack was named.
    """
    result = borders.with_borders(symptoms, result)
    incident = incidents.final(symptoms, result.tracebacks)
    if incident:
        result = stages.with_stage(symptoms, result, incident)
    end = incident.lines if incident else range(0)
    candidates = [
        found
        for rule in symptoms.rule
        if not (incident and rule.reports_another) and (found := _candidate(rule, result))
    ]
    candidates = _most_specific(candidates)
    candidates.sort(key=lambda candidate: _order(candidate, end))
    if candidates and candidates[0].rank < _SURVIVED:
        candidates = [candidate for candidate in candidates if candidate.rank < _SURVIVED]
    places = [place.id for place in symptoms.place if _is_at(place.id, result, stack)]
    return tuple(
        _cause(_led_by(candidate, end), result, places, stack, pins)
        for candidate in candidates[:MOST_CAUSES]
    )


def _is_at(place: str, result: SearchResult, stack: str) -> bool:
    return place in result.places or (place == OWN_PLACE and bool(stack))


def _led_by(candidate: _Candidate, end: range) -> _Candidate:
    """Return the candidate with the matches of the log's end first: they fill the placeholders."""
    matches = tuple(sorted(candidate.matches, key=lambda match: match.line not in end))
    return dataclasses.replace(candidate, matches=matches)


def _order(candidate: _Candidate, end: range) -> tuple[int, bool, int]:
    in_end = any(match.line in end for match in candidate.matches)
    first = next((m.line for m in candidate.matches if m.line in end), candidate.matches[0].line)
    return candidate.rank, not in_end, first


def _candidate(rule: Rule, result: SearchResult) -> _Candidate | None:
    evidence = result.matches.get((rule.id, "patterns"), [])
    if not evidence or _is_ruled_out(rule, result):
        return None
    last = max(result.last_lines.get((rule.id, "patterns"), 0), evidence[-1].line)
    if last < result.success_line and not rule.outlives_success:
        return None
    return _ranked(rule, tuple(evidence), result)


def _is_ruled_out(rule: Rule, result: SearchResult) -> bool:
    """Return True if the rest of the log shows that the evidence means something else."""
    matches = result.matches
    return (
        (rule.id, "unless") in matches
        or (rule.field_only and not result.in_field)
        # A program that says the same again and again is no page.
        or (rule.detector == "repetition" and result.foreign)
        or any((rule.id, f"all {number}") not in matches for number in range(len(rule.all)))
        or not all(
            _may_be(result.facts.get(fact, ""), versions) for fact, versions in rule.when.items()
        )
    )


def _ranked(rule: Rule, matches: tuple[LogMatch, ...], result: SearchResult) -> _Candidate | None:
    """Return a candidate of the matches that show a failure; None if there are none."""
    any_level = rule.warning_counts or rule.rank == "hint"
    failures = tuple(match for match in matches if any_level or _is_failure(match))
    if not failures:
        return None
    ended = tuple(match for match in failures if not _went_on(match, result))
    rank = _RANKS[rule.rank]
    if not ended and rule.detector == "exception":
        return None  # of what a program survived, only a known failure is worth a word
    if not ended:
        rank = max(rank, _SURVIVED)
    return _Candidate(rule=rule, matches=ended or failures, rank=rank)


def _went_on(match: LogMatch, result: SearchResult) -> bool:
    """Return True if the program went on after a line: it says so, or a request was refused."""
    if match.survived:
        return True
    after = bisect.bisect_left(result.refusals, match.line)
    if after == len(result.refusals) or result.refusals[after] - match.line > _OF_REFUSAL:
        return False
    # The refusal answers the traceback above it, unless a process ended in between.
    refused = result.refusals[after]
    return not any(
        match.line <= found.line <= refused and _ENGINE.search(found.source)
        for found in result.tracebacks
    )


def _is_failure(match: LogMatch) -> bool:
    # Some programs log their own exceptions as warnings.
    logged = _ERROR_NAME.match(match.text) or _FAILED_IMPORT.match(match.text)
    return match.level not in _BELOW_ERROR or bool(logged)


def _may_be(version: str, specifier: str) -> bool:
    """Return True if the version is in the range, or is unknown or no version at all."""
    try:
        # Nightly builds are prereleases, which a range leaves out by default.
        return not version or SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _most_specific(candidates: list[_Candidate]) -> list[_Candidate]:
    """Take from each rule the lines that a more specific rule matches; drop it if none is left."""
    kept = []
    for candidate in candidates:
        matches = candidate.matches
        for other in candidates:
            # A hint is for what no rule knows: it takes no line from a rule that knows it.
            if other.rule.rank == "hint" != candidate.rule.rank:
                continue
            if other.rule.specificity > candidate.rule.specificity:
                matches = _left_by(other.matches, matches)
        if matches:
            kept.append(_Candidate(rule=candidate.rule, matches=matches, rank=candidate.rank))
    return kept


def _left_by(specific: tuple[LogMatch, ...], matches: tuple[LogMatch, ...]) -> tuple[LogMatch, ...]:
    """Return the matches whose lines a more specific rule does not match."""
    taken = {match.line for match in specific}
    # A full rule stopped recording: where it shared earlier lines, it would share later ones.
    last = specific[-1].line if len(specific) >= MOST_MATCHES else None
    overlap = any(match.line in taken for match in matches)
    return tuple(
        match
        for match in matches
        if match.line not in taken and not (overlap and last is not None and match.line > last)
    )


def _cause(
    candidate: _Candidate,
    result: SearchResult,
    places: Sequence[str],
    stack: str,
    pins: Mapping[str, str],
) -> Cause:
    rule = candidate.rule
    roles = [f"all {number}" for number in range(len(rule.all))]
    roles += [f"details {number}" for number in range(len(rule.details))]
    more = [match for role in roles for match in result.matches.get((rule.id, role), [])]
    values = dict(result.facts)
    # The last assignment wins: the first match of the evidence itself.
    for match in (*reversed(more), *reversed(candidate.matches)):
        values |= match.groups
    return Cause(
        rule=rule.id,
        category=rule.category,
        cause=fill(rule.cause, values),
        fix=_fix(rule, values, stack, pins, places),
        evidence=_evidence((*candidate.matches, *more)),
        source=rule.sources[0],
        likely=rule.likely or candidate.rank >= _SURVIVED,
    )


def _fix(
    rule: Rule,
    values: Mapping[str, str],
    stack: str,
    pins: Mapping[str, str],
    places: Sequence[str],
) -> str:
    there = next((rule.fix_where[place] for place in places if place in rule.fix_where), rule.fix)
    fix = fill(rule.fix_for.get(stack, there), values)
    pinned = [f"{name}=={pins[name]}" for name in rule.packages if name in pins]
    if not pinned:
        return fix
    return f"{fix} Stack {stack} pins {', '.join(pinned)}."


def _evidence(matches: tuple[LogMatch, ...]) -> tuple[EvidenceLine, ...]:
    """Return the first of the matched lines, each once, in the log's order."""
    # Several patterns of a rule may match one line, as evidence and as a detail.
    unique: dict[int, EvidenceLine] = {}
    for match in matches:
        unique.setdefault(match.line, EvidenceLine(line=match.line, text=match.text))
    return tuple(sorted(list(unique.values())[:MOST_EVIDENCE], key=lambda line: line.line))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its placeholders replaced by the values, or by the default after |.

    A part in square brackets is left out if its placeholder has no value.
    """
    text = OPTIONAL.sub(lambda part: part["text"] if values.get(part["name"]) else "", text)
    return PLACEHOLDER.sub(lambda part: values.get(part["name"]) or part["otherwise"] or "", text)

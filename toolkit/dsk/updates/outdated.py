"""Newer releases of the package that a stack follows, and what they would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.frozen import Frozen
from dsk.updates.proposal import newer, propose
from dsk.updates.static import lead_of

if TYPE_CHECKING:
    import datetime as dt

    from dsk.matrix.stack import Stack


class NewerRelease(Frozen):
    """A newer release, and why the stack's policy holds it back; empty if it does not."""

    version: str
    uploaded: str
    refusal: str


class OutdatedStack(Frozen):
    """A stack beside what is newer on the index.

    Args:
        stack: its id.
        lead: the package that it follows.
        pinned: the version that it has.
        newer: all later releases, the lowest first.
        within: the newest that its policy admits; empty without one.
        changes: the other pins that the newest within the policy, or else of all, would change.
    """

    stack: str
    lead: str
    pinned: str
    newer: tuple[NewerRelease, ...]
    within: str
    changes: dict[str, str]


def outdated(stack: Stack, today: dt.date) -> OutdatedStack:
    """Compare a stack with the index.

    Raises:
        EngineMissing: the index cannot be reached.
    """
    lead = lead_of(stack)
    found = newer(stack, today)
    admitted = [release.version for release, refusal in found if not refusal]
    installable = [release.version for release, _ in found if release.fits and not release.yanked]
    subject = (admitted or installable)[-1:]
    changes = {}
    if subject and (proposal := propose(stack, today, subject[0])):
        changes = {
            name: version
            for name, version in proposal.pins.items()
            if name != lead and version != stack.pins[name]
        }
    return OutdatedStack(
        stack=stack.id,
        lead=lead,
        pinned=stack.pins[lead],
        newer=tuple(
            NewerRelease(
                version=release.version, uploaded=str(release.uploaded or ""), refusal=refusal
            )
            for release, refusal in found
        ),
        within=admitted[-1] if admitted else "",
        changes=changes,
    )

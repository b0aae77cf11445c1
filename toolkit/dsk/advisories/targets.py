"""Targets of the audit: the stacks' locks, and the oldest dependencies that dsk runs with."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dsk.advisories import osv, vex
from dsk.advisories.audit import Target, audit
from dsk.errors import MatrixInvalid
from dsk.locks import lock_file

if TYPE_CHECKING:
    from dsk.advisories.audit import AuditReport
    from dsk.matrix import Matrix, Stack

DSK: Final = "dsk"
_DISTRIBUTION: Final = "dsk-toolkit"


def targets(matrix: Matrix) -> dict[str, Target]:
    """Return every target by its name, the stacks in the order of their ranks.

    Raises:
        MatrixInvalid: a lock is missing or invalid.
    """
    stacks = sorted(matrix.stacks.values(), key=lambda stack: stack.rank)
    return {stack.id: of_stack(stack) for stack in stacks} | {DSK: _floors()}


def of_stack(stack: Stack) -> Target:
    """Return a stack as a target: its lock, and what it builds from source.

    Raises:
        MatrixInvalid: the lock is missing or invalid.
    """
    locked = [(one.name, one.version) for one in lock_file.parse(stack.lock_file)]
    built = [(source.package, stack.pins[source.package]) for source in stack.sources]
    return Target(
        name=stack.id,
        packages=tuple(sorted(locked + built)),
        pins=frozenset(stack.pins),
    )


def report_on(stack: Stack) -> AuditReport | None:
    """Return what is known of a stack's lock; None if it has no lock, or nothing can be read."""
    try:
        snapshot, statements = osv.load(stack.folder), vex.load(stack.folder, stack.id)
        return audit(of_stack(stack), snapshot, statements)
    except MatrixInvalid:
        # What needs a stack to run must not fail for what is only said about it.
        return None


def _floors() -> Target:
    """Return dsk's own dependencies, each in the oldest release that its metadata admits."""
    packages = []
    for text in metadata.requires(_DISTRIBUTION) or ():
        requirement = Requirement(text)
        oldest = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
        if requirement.marker is None and oldest:
            packages.append((canonicalize_name(requirement.name), oldest[0]))
    return Target(name=DSK, packages=tuple(sorted(packages)))

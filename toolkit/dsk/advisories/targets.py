"""Targets of the audit: the stacks' locks, dsk's oldest dependencies, and its tools."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dsk import paths
from dsk.advisories import osv, vex
from dsk.advisories.audit import Target, audit
from dsk.errors import MatrixInvalid
from dsk.locks import lock_file

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.advisories.audit import AuditReport
    from dsk.matrix import Matrix, Stack

DSK: Final = "dsk"
DEVELOPMENT: Final = "development"
_LOCKED: Final = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", re.MULTILINE)
_DISTRIBUTION: Final = "dsk-toolkit"


def targets(matrix: Matrix) -> dict[str, Target]:
    """Return every target by its name, the stacks in the order of their ranks.

    Raises:
        MatrixInvalid: a lock is missing or invalid.
    """
    stacks = [*matrix.current, *matrix.earlier]
    found = {stack.id: of_stack(stack) for stack in stacks} | {DSK: _floors()}
    if paths.in_checkout():
        found[DEVELOPMENT] = _of_requirements(paths.CHECKOUT / "requirements")
    return found


def of_stack(stack: Stack) -> Target:
    """Return a stack as a target: its locks, and what it builds from source.

    Raises:
        MatrixInvalid: the lock is missing or invalid.
    """
    locked = {
        (package.name, package.version)
        for there in stack.on_each
        for package in lock_file.parse(there.lock_file)
    }
    built = {(source.package, stack.pins[source.package]) for source in stack.sources}
    return Target(
        name=stack.id,
        packages=tuple(sorted(locked | built)),
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


def _of_requirements(folder: Path) -> Target:
    """Return what uv locked for development; of a package there may be two versions."""
    packages = {
        (canonicalize_name(name), version)
        for file in folder.glob("*.txt")
        for name, version in _LOCKED.findall(file.read_text("utf-8"))
    }
    return Target(name=DEVELOPMENT, packages=tuple(sorted(packages)))

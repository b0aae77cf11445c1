"""The chain of all checks: every module of `dsk.doctor.checks`, in the report's order."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from dsk.doctor import checks

if TYPE_CHECKING:
    from dsk.doctor.check import Check, CheckGroup


def chain() -> tuple[Check, ...]:
    """Return the checks of all groups, ordered by the groups' positions."""
    return tuple(check for group in sorted(_groups(), key=_position) for check in group.checks)


def _groups() -> list[CheckGroup]:
    # A group is found by lying in the folder: a new one is one module and no entry in a list.
    names = [module.name for module in pkgutil.iter_modules(checks.__path__)]
    return [importlib.import_module(f"{checks.__name__}.{name}").GROUP for name in names]


def _position(group: CheckGroup) -> int:
    return group.position

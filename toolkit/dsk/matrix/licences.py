"""Licences of wheels that bind whoever passes them on: the file ``licences.toml``."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Final

from pydantic import Field

from dsk.frozen import Frozen
from dsk.matrix.profiles import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE: Final = "licences.toml"
# Of dsk itself, and of the permissive wheels that every environment holds.
_ALWAYS: Final = ("Apache-2.0", "BSD-3-Clause", "MIT")
_AND: Final = " AND "


class PackageLicence(Frozen):
    """The licence of a package's wheels: a table of ``licences.toml``."""

    id: Text = Field(description="a normalised package name; * stands for any characters")
    licence: Text = Field(description="an SPDX licence expression without OR")
    versions: tuple[Text, ...] = Field(
        default=(), description="a list of the versions that it is true of; of all if left out"
    )


def licence_of(name: str, version: str, known: Mapping[str, PackageLicence]) -> str | None:
    """Return the SPDX expression recorded for a package; None if nothing is recorded.

    Args:
        name: normalised.
        version: exact.
        known: the file's tables; a table with the package's own name wins over a pattern.
    """
    patterns = (recorded for key, recorded in known.items() if fnmatch.fnmatchcase(name, key))
    recorded = known.get(name) or next(patterns, None)
    if recorded is None or (recorded.versions and version not in recorded.versions):
        return None
    return recorded.licence


def expression(packages: Iterable[tuple[str, str]], known: Mapping[str, PackageLicence]) -> str:
    """Return the SPDX expression of an environment: permissive licences and all recorded ones.

    Args:
        packages: normalised names and exact versions.
        known: the file's tables.
    """
    recorded = {licence_of(name, version, known) for name, version in packages}
    parts = {part for licence in recorded if licence for part in licence.split(_AND)}
    return _AND.join(sorted(parts | {*_ALWAYS}))

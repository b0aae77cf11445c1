"""A stack's bill of materials (SBOM) as CycloneDX JSON; the same lock gives the same bytes."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from typing import TYPE_CHECKING, Final

from dsk import __version__
from dsk.errors import UsageProblem
from dsk.locks import lock_file
from dsk.locks.conflicts import DSK
from dsk.locks.sbom_parts import Parts
from dsk.matrix.load import load_licences

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

    from dsk.locks.inventory import Inventory
    from dsk.matrix.stack import Stack

# The self-made part of a key that no package has.
_ROOT: Final = "dsk-"


def sbom(stack: Stack, inventory: Inventory | None = None) -> str:
    """Return the SBOM of a stack: dsk, Python, base image, system packages, and what is locked.

    Its serial number is derived from the lock and the inventory; its time is SOURCE_DATE_EPOCH or
    the date that all packages of the lock are older than.

    Args:
        stack: its lock gives every wheel and source archive, and who requires it.
        inventory: of a built image: the versions of system packages and Python, and the licences
            that the wheels name. Without it they stand there as the stack names them.

    Raises:
        MatrixInvalid: the lock is missing or invalid.
        UsageProblem: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    from cyclonedx.output.json import JsonV1Dot6

    return JsonV1Dot6(_bom(stack, inventory)).output_as_string(indent=2) + "\n"


def _bom(stack: Stack, inventory: Inventory | None) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentScope, ComponentType

    lock = stack.lock_sha256()
    root = Component(
        name=f"{_ROOT}{stack.id}",
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref=f"{_ROOT}{stack.id}@{lock}",
        description=stack.summary,
    )
    parts = Parts(stack, inventory, load_licences(stack.folder))
    locked = lock_file.parse(stack.lock_file)
    wheels = {
        package.name: parts.wheel(package.name, package.version, package.file, package.sha256)
        for package in locked
    }
    for source in stack.sources:
        version = stack.pins[source.package]
        part = parts.wheel(source.package, version, source.file, source.sha256)
        part.scope = ComponentScope.OPTIONAL  # see dsk build --with
        wheels[source.package] = part
    wheels[DSK] = parts.dsk()
    platform = [parts.python(), *parts.bases(), *parts.system()]
    needs = _needs(stack, locked, root.name)
    name = f"dsk:{stack.id}:{lock}" + (f":{inventory.model_dump_json()}" if inventory else "")
    bom = Bom(
        # Derived, not random: the same lock gives the same bytes.
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, name),
        metadata=BomMetaData(component=root, timestamp=_time(stack)),
        components=[*wheels.values(), *platform],
    )
    needed: dict[str, list[Component]] = {
        asker: [wheels[need] for need in sorted(needs.get(asker, ()))] for asker in wheels
    }
    for asker, components in needed.items():
        bom.register_dependency(wheels[asker], components)
    bom.register_dependency(root, [*(wheels[need] for need in needs[root.name]), *platform])
    return bom


def _needs(
    stack: Stack, locked: Iterable[lock_file.LockedPackage], root: str
) -> dict[str, set[str]]:
    """Return the requirements of each package; the stack itself requires what no package does."""
    names = {package.name for package in locked} | {DSK}
    needs: dict[str, set[str]] = {root: {DSK}}
    for package in locked:
        askers = [asker if asker in names else root for asker in package.via]
        for asker in askers:
            needs.setdefault(asker, set()).add(package.name)
    for source in stack.sources:
        needs[root].add(source.package)
        needs[source.package] = set(source.requires)
    return needs


def _time(stack: Stack) -> dt.datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return dt.datetime.combine(stack.lock_date, dt.time(), dt.UTC)
    try:
        return dt.datetime.fromtimestamp(int(epoch), dt.UTC)
    except (ValueError, OverflowError) as error:
        what = f"SOURCE_DATE_EPOCH is '{epoch}'"
        raise UsageProblem(what, do="set it to seconds since 1970, or unset it") from error

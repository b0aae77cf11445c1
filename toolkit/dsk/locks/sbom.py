"""A stack's bill of materials (SBOM) as CycloneDX JSON; the same lock gives the same bytes."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from typing import TYPE_CHECKING

from dsk import __version__
from dsk.errors import UsageProblem
from dsk.locks import lock_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

    from dsk.matrix.stack import Stack


def sbom(stack: Stack) -> str:
    """Return the SBOM of a stack: every locked wheel and source archive, and who requires it.

    Its serial number is derived from the lock; its time is SOURCE_DATE_EPOCH or the date that all
    packages of the lock are older than.

    Raises:
        MatrixInvalid: the lock is missing or invalid.
        UsageProblem: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    from cyclonedx.output.json import JsonV1Dot6

    return JsonV1Dot6(_bom(stack)).output_as_string(indent=2) + "\n"


def _bom(stack: Stack) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType

    lock = stack.lock_sha256()
    root = Component(
        name=f"dsk-{stack.id}",
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref=f"dsk-{stack.id}@{lock}",
        description=stack.summary,
    )
    locked = lock_file.parse(stack.lock_file)
    components = {
        package.name: _component(package.name, package.version, package.file, package.sha256)
        for package in locked
    }
    for source in stack.sources:
        version = stack.pins[source.package]
        components[source.package] = _component(source.package, version, source.file, source.sha256)
    needs = _needs(stack, locked, root.name)
    bom = Bom(
        # Derived, not random: the same lock gives the same bytes.
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"dsk:{stack.id}:{lock}"),
        metadata=BomMetaData(component=root, timestamp=_time(stack)),
        components=components.values(),
    )
    for name, component in (components | {root.name: root}).items():
        bom.register_dependency(
            component, [components[need] for need in sorted(needs.get(name, ()))]
        )
    return bom


def _component(name: str, version: str, file: str, sha256: str) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    purl = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        properties=[Property(name="dsk:file", value=file)],
    )


def _needs(
    stack: Stack, locked: Iterable[lock_file.LockedPackage], root: str
) -> dict[str, set[str]]:
    """Return the requirements of each package; the stack itself requires what no package does."""
    names = {package.name for package in locked}
    needs: dict[str, set[str]] = {}
    for package in locked:
        askers = [asker if asker in names else root for asker in package.via]
        for asker in askers:
            needs.setdefault(asker, set()).add(package.name)
    for source in stack.sources:
        needs.setdefault(root, set()).add(source.package)
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

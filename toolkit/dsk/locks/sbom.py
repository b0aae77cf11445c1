"""A stack's bill of materials as CycloneDX JSON, from its lock: the same lock, the same bytes."""

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
    """The bill of a stack: every locked wheel and source archive by its sha256, and who needs it.

    Its serial number comes from the lock, its time from SOURCE_DATE_EPOCH or, without it, from the
    day that the lock's packages are older than.

    Raises:
        MatrixInvalid: there is no lock, or it is not one.
        UsageProblem: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    from cyclonedx.output.json import JsonV1Dot6

    return JsonV1Dot6(_bill(stack)).output_as_string(indent=2) + "\n"


def _bill(stack: Stack) -> Bom:
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
    parts = {one.name: _part(one.name, one.version, one.file, one.sha256) for one in locked}
    for source in stack.sources:
        version = stack.pins[source.package]
        parts[source.package] = _part(source.package, version, source.file, source.sha256)
    needs = _needs(stack, locked, root.name)
    bill = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"dsk:{stack.id}:{lock}"),
        metadata=BomMetaData(component=root, timestamp=_time(stack)),
        components=parts.values(),
    )
    for name, component in (parts | {root.name: root}).items():
        bill.register_dependency(component, [parts[one] for one in sorted(needs.get(name, ()))])
    return bill


def _part(name: str, version: str, file: str, sha256: str) -> Component:
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


def _needs(stack: Stack, locked: Iterable[lock_file.Locked], root: str) -> dict[str, set[str]]:
    """Who needs whom; what no package asked for, the stack itself did."""
    names = {one.name for one in locked}
    needs: dict[str, set[str]] = {}
    for one in locked:
        askers = [asker if asker in names else root for asker in one.via]
        for asker in askers:
            needs.setdefault(asker, set()).add(one.name)
    for source in stack.sources:
        needs.setdefault(root, set()).add(source.package)
        needs[source.package] = set(source.requires)
    return needs


def _time(stack: Stack) -> dt.datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return dt.datetime.combine(stack.resolve_before, dt.time(), dt.UTC)
    try:
        return dt.datetime.fromtimestamp(int(epoch), dt.UTC)
    except (ValueError, OverflowError) as error:
        what = f"SOURCE_DATE_EPOCH is '{epoch}'"
        raise UsageProblem(what, do="set it to seconds since 1970, or unset it") from error

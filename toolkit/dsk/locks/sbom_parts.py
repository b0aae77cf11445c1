"""The components of a bill of materials, one method a kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from dsk import __version__
from dsk.locks.conflicts import DSK
from dsk.matrix.digests import digest_of, tag_of
from dsk.matrix.licences import licence_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import License
    from packageurl import PackageURL

    from dsk.locks.inventory import Inventory
    from dsk.matrix.licences import PackageLicence
    from dsk.matrix.stack import Stack


class Parts:
    """The components of a stack, with an image's inventory where there is one."""

    def __init__(
        self, stack: Stack, inventory: Inventory | None, licences: Mapping[str, PackageLicence]
    ) -> None:
        self._stack = stack
        self._inventory = inventory
        self._licences = licences
        wheels = inventory.wheels if inventory else ()
        self._named: dict[str, str] = {
            canonicalize_name(wheel.name): wheel.licence for wheel in wheels
        }

    def wheel(self, name: str, version: str, file: str, sha256: str) -> Component:
        """Return a locked wheel or source archive."""
        from packageurl import PackageURL

        licence = licence_of(name, version, self._licences) or self._named.get(name, "")
        purl = PackageURL("pypi", name=name, version=version)
        return _component(name, version, purl, licence, sha256=sha256, properties={"file": file})

    def dsk(self) -> Component:
        """Return dsk itself; no package index has it yet."""
        from packageurl import PackageURL

        purl = PackageURL("generic", name=DSK, version=__version__)
        return _component(DSK, __version__, purl, "Apache-2.0")

    def python(self) -> Component:
        """Return the interpreter: its release, and without an inventory its minor version."""
        from packageurl import PackageURL

        version = self._inventory.python if self._inventory else self._stack.python
        purl = PackageURL("generic", name="python", version=version)
        return _component("python", version, purl, "PSF-2.0")

    def bases(self) -> Iterator[Component]:
        """Yield the image that the stack's image is built on, by digest where one is recorded."""
        from cyclonedx.model.component import ComponentType
        from packageurl import PackageURL

        if self._stack.image is None:
            return
        reference = self._stack.image.runtime
        name, _, tag = tag_of(reference).rpartition(":")
        digest = digest_of(reference)
        namespace, _, last = name.rpartition("/")
        purl = PackageURL(
            "docker",
            namespace=namespace or None,
            name=last,
            version=digest or tag,
            qualifiers={"tag": tag} if digest else None,
        )
        sha256 = digest.removeprefix("sha256:")
        kind = ComponentType.CONTAINER
        yield _component(name, tag, purl, "", sha256=sha256, kind=kind)

    def system(self) -> Iterator[Component]:
        """Yield the distribution's packages; without an inventory those that the stack adds."""
        from packageurl import PackageURL

        if self._inventory is None:
            packages = self._stack.image.packages if self._stack.image else ()
            for name in packages:
                yield _component(name, None, PackageURL("deb", name=name), "")
            return
        distribution = self._inventory.distribution
        for package in self._inventory.system:
            purl = PackageURL(
                "deb",
                namespace=distribution.partition("-")[0],
                name=package.name,
                version=package.version,
                qualifiers={"arch": package.architecture, "distro": distribution},
            )
            yield _component(package.name, package.version, purl, "")


def _component(
    name: str,
    version: str | None,
    purl: PackageURL,
    licence: str,
    *,
    sha256: str = "",
    properties: Mapping[str, str] | None = None,
    kind: ComponentType | None = None,
) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=name,
        version=version,
        type=kind or ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        licenses=[_licence(licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else [],
        properties=[
            Property(name=f"dsk:{key}", value=value) for key, value in (properties or {}).items()
        ],
    )


def _licence(text: str) -> License:
    """Return a licence as an SPDX id or expression if it is one, or else by its name."""
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from cyclonedx.spdx import is_supported_id

    if is_supported_id(text):
        return DisjunctiveLicense(id=text)
    if all(is_supported_id(part) for part in re.split(r" (?:AND|OR) ", text)):
        return LicenseExpression(text)
    return DisjunctiveLicense(name=text)

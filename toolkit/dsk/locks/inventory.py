"""The packages of an image, listed by a process in it: ``python -m dsk.locks.inventory``."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from dsk import console
from dsk.errors import BuildFailed
from dsk.frozen import Frozen

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

# Name, version and architecture, separated by tabs.
_DPKG: Final = ("dpkg-query", "--show", "--showformat=${Package}\\t${Version}\\t${Architecture}\\n")


class SystemPackage(Frozen):
    """An installed package of the distribution."""

    name: str
    version: str
    architecture: str


class InstalledWheel(Frozen):
    """A distribution in the environment; its licence is what its own metadata says."""

    name: str
    version: str
    licence: str


class Inventory(Frozen):
    """The distribution's packages, the interpreter and the wheels of an image."""

    distribution: str
    """Id and release, such as ``debian-12``."""
    python: str
    system: tuple[SystemPackage, ...]
    wheels: tuple[InstalledWheel, ...]


def take() -> Inventory:
    """List what is installed where this process runs.

    Raises:
        OSError: there is no dpkg, or no ``/etc/os-release``.
        subprocess.CalledProcessError: dpkg failed.
    """
    release = platform.freedesktop_os_release()
    listed = subprocess.run(_DPKG, check=True, capture_output=True, text=True).stdout
    fields = (line.split("\t") for line in listed.splitlines())
    wheels = (
        InstalledWheel(name=one.name, version=one.version, licence=_licence(one.metadata))
        for one in importlib.metadata.distributions()
    )
    return Inventory(
        distribution=f"{release['ID']}-{release.get('VERSION_ID', 'unknown')}",
        python=platform.python_version(),
        system=tuple(
            SystemPackage(name=name, version=version, architecture=architecture)
            for name, version, architecture in fields
        ),
        wheels=tuple(sorted(wheels, key=lambda wheel: wheel.name.lower())),
    )


def parse(text: str) -> Inventory:
    """Read what `main` printed.

    Raises:
        BuildFailed: it is not an inventory.
    """
    try:
        return Inventory.model_validate_json(text)
    except ValidationError as error:
        what = "the image does not list its packages as this dsk expects"
        raise BuildFailed(what, do="build the image with this dsk") from error


def _licence(metadata: PackageMetadata) -> str:
    """Return the licence by a wheel's metadata; an empty text if it names none."""
    fields = [metadata[key] for key in ("License-Expression", "License") if key in metadata]
    declared = next(filter(None, fields), "")
    # Some wheels have the whole text of the licence in the field.
    first = declared.strip().partition("\n")[0].strip()
    if first and first.upper() != "UNKNOWN" and len(first) <= 100:
        return first
    classifiers = metadata.get_all("Classifier") or []
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
    return ", ".join(named)


def main() -> None:
    """Print the inventory of the image that this process runs in, as JSON."""
    console.echo_json(take().model_dump_json(indent=2))


if __name__ == "__main__":
    main()

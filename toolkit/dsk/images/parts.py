"""Optional parts of a stack's image, such as flash-attn: compiled, or as a wheel of known hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem
from dsk.locks import lock_file
from dsk.matrix import licences as known_licences
from dsk.matrix.load import load_licences
from dsk.matrix.stack import best_kernel

if TYPE_CHECKING:
    from dsk.matrix import Gpu, Stack
    from dsk.matrix.stack import SourcePackage

# After the name of a part that is taken as a ready wheel.
_WHEEL: Final = "-wheel"


@dataclass(frozen=True, kw_only=True)
class Part:
    """An optional part of an image.

    Args:
        name: what ``dsk build --with`` calls it.
        source: its package.
        is_wheel: the ready wheel is installed, and nothing is compiled.
    """

    name: str
    source: SourcePackage
    is_wheel: bool = False

    @property
    def stage(self) -> str:
        """The stage of the Dockerfile that has the environment with this part."""
        return f"with-{self.name}"


def parts_of(stack: Stack) -> dict[str, Part]:
    """Return the optional parts of a stack by name."""
    found = []
    for source in stack.sources:
        found.append(Part(name=source.package, source=source))
        if source.wheel:
            found.append(Part(name=f"{source.package}{_WHEEL}", source=source, is_wheel=True))
    return {part.name: part for part in found}


def part_of(stack: Stack, name: str) -> Part:
    """Return the part of a stack that has this name.

    Raises:
        UsageProblem: it has none.
    """
    known = parts_of(stack)
    if name in known:
        return known[name]
    what = f"stack '{stack.id}' has no part '{name}'"
    do = f"give one of {', '.join(known)}" if known else "leave --with out"
    raise UsageProblem(what, do=do)


def every_kernel(source: SourcePackage) -> str:
    """Return the kernels that a part can be compiled with, as its build takes them: ``80;90``."""
    return ";".join(f"{major}{minor}" for major, minor in source.kernels)


def kernel_for(source: SourcePackage, gpu: Gpu) -> str:
    """Return the one kernel that a card runs, as the part's build takes it: ``80``.

    Raises:
        UsageProblem: none of the part's kernels runs on the card.
    """
    kernel = best_kernel(source.kernels, gpu.compute_capability)
    if kernel is None:
        what = f"{source.package} has no kernel for {gpu.name} ({gpu.sm})"
        raise UsageProblem(what, do=f"leave --with {source.package} out")
    return f"{kernel[0]}{kernel[1]}"


def licences(stack: Stack, part: Part | None) -> str:
    """Return the licences that bind whoever passes an image on, as an SPDX expression."""
    packages = [(package.name, package.version) for package in lock_file.parse(stack.lock_file)]
    if part:
        packages.append((part.source.package, stack.pins[part.source.package]))
    return known_licences.expression(packages, load_licences(stack.folder))

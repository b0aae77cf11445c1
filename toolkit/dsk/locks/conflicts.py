"""Contradictions between a stack, its lock and its wheels' own requirements; no I/O."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from dsk.locks.resolve import tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dsk.locks.lock_file import LockedPackage
    from dsk.locks.wheels import Wheel
    from dsk.matrix.stack import Override, Stack

DSK: Final = "dsk-toolkit"

# nvidia-cublas-cu12, cupy-cuda12x
_SUFFIXED: Final = re.compile(r"-cu(?:da)?(\d\d)x?$")
# NVIDIA's packages whose own major version is CUDA's.
_VERSIONED: Final = ("nvidia-cuda-runtime", "cuda-toolkit", "cuda-python", "cuda-bindings")
# In names of base images: ``nvidia/cuda:12.4.1-devel``, ``pytorch:2.6.0-cuda12.4-devel``.
_RELEASE: Final = re.compile(r"cuda[:-]?(\d+\.\d+)")


def faults(
    stack: Stack,
    locked: Sequence[LockedPackage],
    wheels: Mapping[str, Wheel | None],
    archives: Mapping[str, str | None],
    own: Sequence[str],
) -> list[str]:
    """Return everything in a stack and its lock that does not agree, each in a line.

    Args:
        stack: its pins, overrides, minimums and images.
        locked: its lock.
        wheels: each locked wheel's own metadata; None where the index has no such file.
        archives: the index's file with the sha256 of each package from source; None likewise.
        own: the requirements of dsk itself inside the stack, as Requires-Dist lines.
    """
    whole = {name: wheel for name, wheel in wheels.items() if wheel}
    return [
        *_pins(stack, locked),
        *_files(stack, locked, wheels),
        *_archives(stack, archives),
        *_demands(stack, locked, whole, own),
        *_cuda(stack, locked, whole),
        *_without_cuda(stack, whole),
    ]


def cuda_of(wheels: Mapping[str, Wheel | None]) -> tuple[int, ...]:
    """Return the CUDA majors that the libraries are linked with; more than one is a fault."""
    majors = {major for wheel in wheels.values() if wheel for major in wheel.cuda}
    return tuple(sorted(majors))


def requirements_of(stack: Stack, wheel: Wheel) -> dict[str, SpecifierSet]:
    """Return what a wheel requires on a stack's Python and platform, by normalised name."""
    demands: dict[str, SpecifierSet] = {}
    for _, demand in _active(stack, {wheel.name: wheel}, ()):
        name = canonicalize_name(demand.name)
        demands[name] = demands.get(name, SpecifierSet()) & demand.specifier
    return demands


def _pins(stack: Stack, locked: Sequence[LockedPackage]) -> Iterator[str]:
    versions = {package.name: package.version for package in locked}
    for name, pin in stack.wheel_pins.items():
        if versions.get(name) != pin:
            other = versions.get(name, "no such package")
            yield f"{name} is pinned to {pin}, the lock has {other}: dsk matrix lock {stack.id}"
    required = {name for source in stack.sources for name in source.requires} | set(stack.also)
    for name in sorted(required - versions.keys()):
        yield f"{name} is required by the stack, the lock lacks it: dsk matrix lock {stack.id}"


def _files(
    stack: Stack, locked: Sequence[LockedPackage], wheels: Mapping[str, Wheel | None]
) -> Iterator[str]:
    """Check that each file is the index's, of its package, for this Python and platform."""
    tags = tags_of(stack)
    for package in locked:
        pinned = f"{package.name} {package.version}"
        named, version, _, wheel_tags = parse_wheel_filename(package.file)
        if (named, version) != (package.name, Version(package.version)):
            yield f"{pinned}: {package.file} is of another package or version"
        if not wheel_tags & tags.keys():
            where = f"Python {stack.python}, glibc {'.'.join(map(str, stack.host.glibc))}"
            yield f"{pinned}: {package.file} is not for {where} on {stack.arch}"
        wheel = wheels[package.name]
        if wheel is None:
            yield f"{pinned}: the index has no file with the sha256 {package.sha256}"
            continue
        if wheel.file != package.file:
            yield f"{pinned}: the sha256 {package.sha256} is that of {wheel.file}"
        # Any patch release of the stack's Python may be installed, so a late one is compared.
        if not SpecifierSet(wheel.requires_python).contains(f"{stack.python}.99"):
            wanted = f"it requires Python {wheel.requires_python}"
            yield f"{pinned}: {wanted}, the stack has {stack.python}"


def _archives(stack: Stack, archives: Mapping[str, str | None]) -> Iterator[str]:
    """Check that each source archive is the index's file of that name."""
    for source in stack.sources:
        pinned, file = f"{source.package} {stack.pins[source.package]}", archives[source.package]
        if file is None:
            yield f"{pinned}: the index has no file with the sha256 {source.sha256}"
        elif file != source.file:
            yield f"{pinned}: the sha256 {source.sha256} is that of {file}"


def _demands(
    stack: Stack, locked: Sequence[LockedPackage], wheels: Mapping[str, Wheel], own: Sequence[str]
) -> Iterator[str]:
    """Check every Requires-Dist, and that every override contradicts one of them."""
    versions = {package.name: package.version for package in locked}
    built = {source.package: stack.pins[source.package] for source in stack.sources}
    contradicted: set[tuple[str, str]] = set()
    for asker, demand in _active(stack, wheels, own):
        name = canonicalize_name(demand.name)
        version = (versions | built).get(name)
        # Pins of pre-releases are deliberate.
        if version and demand.specifier.contains(version, prereleases=True):
            continue
        contradicted.add((asker, name))
        who = f"{asker} {versions[asker]}" if asker in versions else asker
        asks = f"{who} requires {name}{demand.specifier}"
        if version is None:
            yield f"{asks}, the lock lacks it"
        elif not any(_states(override, asker, demand) for override in stack.overrides):
            yield f"{asks}, the lock has {version}: state an override, or change the pins"
    for override in stack.overrides:
        if (override.asked_by, override.package) not in contradicted:
            pin = stack.pins[override.package]
            reason = f"{override.asked_by} requires nothing that {pin} does not meet"
            yield f"the override for {override.package} is needless: {reason}"


def _states(override: Override, asker: str, demand: Requirement) -> bool:
    """Return True if an override states exactly this requirement."""
    return (
        (override.asked_by, override.package) == (asker, canonicalize_name(demand.name))
    ) and SpecifierSet(override.asks) == demand.specifier


def _active(
    stack: Stack, wheels: Mapping[str, Wheel], own: Sequence[str]
) -> list[tuple[str, Requirement]]:
    """Return the requirements that apply on the stack's Python and platform, and who has them."""
    lines = {name: wheel.requires for name, wheel in wheels.items()} | {DSK: tuple(own)}
    demands = {name: [_requirement(line) for line in asked] for name, asked in lines.items()}
    extras: dict[str, set[str]] = {name: {""} for name in demands}
    environment = _environment(stack)
    # A requirement may ask for an extra, whose own requirements may ask for further ones: repeat
    # until no extra is added.
    while True:
        active = [
            (asker, demand)
            for asker, asked in demands.items()
            for demand in asked
            if demand.marker is None
            or any(
                demand.marker.evaluate(environment | {"extra": extra}) for extra in extras[asker]
            )
        ]
        before = sum(map(len, extras.values()))
        for _, demand in active:
            extras.get(canonicalize_name(demand.name), set()).update(demand.extras)
        if sum(map(len, extras.values())) == before:
            return active


# Stacks have most of their packages in common.
@functools.cache
def _requirement(line: str) -> Requirement:
    return Requirement(line)


def _environment(stack: Stack) -> dict[str, str]:
    """Return the values of environment markers on a stack's machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{stack.python}.99",
        "os_name": "posix",
        "platform_machine": stack.arch,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{stack.python}.99",
        "python_version": stack.python,
        "sys_platform": "linux",
    }


def _cuda(
    stack: Stack, locked: Sequence[LockedPackage], wheels: Mapping[str, Wheel]
) -> Iterator[str]:
    """Check for one CUDA major in everything that the stack's processes load together."""
    named: dict[int, list[str]] = {}
    for name, wheel in wheels.items():
        for major in wheel.cuda:
            named.setdefault(major, []).append(f"{name}'s libraries")
    for package in locked:
        suffix = _SUFFIXED.search(package.name)
        if suffix and _has_flavour_of(stack, package, locked):
            continue
        if suffix:
            named.setdefault(int(suffix[1]), []).append(package.name)
        elif package.name in _VERSIONED:
            named.setdefault(int(package.version.split(".")[0]), []).append(
                f"{package.name} {package.version}"
            )
    for source, release in _cuda_releases(stack):
        named.setdefault(int(release.split(".")[0]), []).append(source)
    if len(named) > 1:
        majors = "; ".join(
            f"{major}: {', '.join(sorted(names)[:6])}" for major, names in sorted(named.items())
        )
        yield f"CUDA of several majors in one process: {majors}"


def _has_flavour_of(stack: Stack, package: LockedPackage, locked: Sequence[LockedPackage]) -> bool:
    """Return True if who requires a package requires its twin for the stack's CUDA as well."""
    # nvidia-cutlass-dsl[cu13] brings its flavour for CUDA 12 too since 4.7, and imports one of the
    # two; neither is linked with CUDA's libraries.
    own = stack.gpu.cuda.split(".")[0] if stack.gpu else ""
    twin = _SUFFIXED.sub(f"-cu{own}", package.name)
    return twin != package.name and any(
        (other.name, other.version, other.via) == (twin, package.version, package.via)
        for other in locked
    )


def _cuda_releases(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield the CUDA releases that a stack itself names: its minimum, and its base images."""
    if stack.gpu:
        yield "the stack's gpu.cuda", stack.gpu.cuda
    if stack.image is None:
        return
    built = ", ".join(source.package for source in stack.sources)
    for name, base in (
        ("the image that it runs in", stack.image.runtime),
        (f"the image that builds {built}", stack.image.devel),
    ):
        if release := _RELEASE.search(base or ""):
            yield name, release[1]


def _without_cuda(stack: Stack, wheels: Mapping[str, Wheel]) -> Iterator[str]:
    """Check that a GPU stack has CUDA, and that its sources compile against a known release."""
    if stack.device != "cuda":
        return
    for name in ("torch", "vllm"):
        if name in wheels and not wheels[name].cuda:
            pinned = f"{name} {wheels[name].version}"
            yield f"{pinned}: its libraries are linked with no CUDA, and the stack is for a GPU"
    if stack.sources and stack.image and not _RELEASE.search(stack.image.devel or ""):
        built = ", ".join(source.package for source in stack.sources)
        devel = stack.image.devel or "not given"
        yield f"image.devel is {devel}: its name does not show the CUDA that compiles {built}"

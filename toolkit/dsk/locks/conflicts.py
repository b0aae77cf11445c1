"""A stack against its own wheels: every demand holds, or an override states that it does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from dsk.locks.resolve import tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dsk.locks.lock_file import Locked
    from dsk.locks.wheels import Wheel
    from dsk.matrix.stack import Override, Stack

DSK: Final = "dsk-toolkit"

_SUFFIXED: Final = re.compile(r"-cu(?:da)?(\d\d)x?$")
_VERSIONED: Final = ("nvidia-cuda-runtime", "cuda-toolkit", "cuda-python", "cuda-bindings")
"""NVIDIA's packages whose own major version is CUDA's."""
_RELEASE: Final = re.compile(r"cuda[:-]?(\d+\.\d+)")
"""As base images write it: ``nvidia/cuda:12.4.1-devel``, ``pytorch:2.6.0-cuda12.4-devel``."""


def faults(
    stack: Stack,
    locked: Sequence[Locked],
    wheels: Mapping[str, Wheel | None],
    archives: Mapping[str, str | None],
    own: Sequence[str],
) -> list[str]:
    """Everything in a stack and its lock that does not agree, each in a line.

    Args:
        stack: its pins, overrides, floors and images.
        locked: its lock.
        wheels: each locked wheel's own metadata; None where the index has no such file.
        archives: the index's file with the sha256 of each package from source; None likewise.
        own: what dsk itself needs inside the stack, as Requires-Dist lines.
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
    """The CUDA majors that the libraries were linked with: one, where all is well."""
    found = {major for wheel in wheels.values() if wheel for major in wheel.cuda}
    return tuple(sorted(found))


def _pins(stack: Stack, locked: Sequence[Locked]) -> Iterator[str]:
    versions = {one.name: one.version for one in locked}
    for name, pin in stack.wheel_pins.items():
        if versions.get(name) != pin:
            found = versions.get(name, "no such package")
            yield f"{name} is pinned to {pin}, the lock has {found}: dsk matrix lock {stack.id}"
    wanted = {name for source in stack.sources for name in source.requires} | set(stack.also)
    for name in sorted(wanted - versions.keys()):
        yield f"{name} is asked for by the stack, the lock lacks it: dsk matrix lock {stack.id}"


def _files(
    stack: Stack, locked: Sequence[Locked], wheels: Mapping[str, Wheel | None]
) -> Iterator[str]:
    """Each file is the index's, the package that it is said to be, for this Python and platform."""
    tags = tags_of(stack)
    for one in locked:
        named, version, _, wheel_tags = parse_wheel_filename(one.file)
        if (named, str(version)) != (one.name, str(SpecifierSet(f"=={one.version}"))[2:]):
            yield f"{one.name} {one.version}: {one.file} is another package's, or another version's"
        if not wheel_tags & tags.keys():
            where = f"Python {stack.python}, glibc {'.'.join(map(str, stack.host.glibc))}"
            yield f"{one.name} {one.version}: {one.file} is not for {where} on {stack.host.arch}"
        wheel = wheels[one.name]
        if wheel is None:
            yield f"{one.name} {one.version}: the index has no file with the sha256 {one.sha256}"
            continue
        if wheel.file != one.file:
            yield f"{one.name} {one.version}: the sha256 {one.sha256} is that of {wheel.file}"
        # Any patch of the stack's Python will do, so the demand is held against a late one.
        if not SpecifierSet(wheel.requires_python).contains(f"{stack.python}.99"):
            asks = wheel.requires_python
            yield f"{one.name} {one.version}: it asks Python {asks}, the stack has {stack.python}"


def _archives(stack: Stack, archives: Mapping[str, str | None]) -> Iterator[str]:
    """What is compiled is the index's too, by the same measure."""
    for source in stack.sources:
        pinned, found = f"{source.package} {stack.pins[source.package]}", archives[source.package]
        if found is None:
            yield f"{pinned}: the index has no file with the sha256 {source.sha256}"
        elif found != source.file:
            yield f"{pinned}: the sha256 {source.sha256} is that of {found}"


def _demands(
    stack: Stack, locked: Sequence[Locked], wheels: Mapping[str, Wheel], own: Sequence[str]
) -> Iterator[str]:
    """Requires-Dist of everybody, and overrides that contradict nobody."""
    versions = {one.name: one.version for one in locked}
    built = {source.package: stack.pins[source.package] for source in stack.sources}
    needed: set[tuple[str, str]] = set()
    for asker, demand in _asked(stack, wheels, own):
        name = canonicalize_name(demand.name)
        found = (versions | built).get(name)
        if found and demand.specifier.contains(found, prereleases=True):
            continue
        needed.add((asker, name))
        who = f"{asker} {versions[asker]}" if asker in versions else asker
        asks = f"{who} asks {name}{demand.specifier}"
        if found is None:
            yield f"{asks}, the lock lacks it"
        elif not any(_states(one, asker, demand) for one in stack.overrides):
            yield f"{asks}, the lock has {found}: state an override, or change the pins"
    for override in stack.overrides:
        if (override.asked_by, override.package) not in needed:
            said = f"{override.asked_by} does not ask what {stack.pins[override.package]} is not"
            yield f"the override for {override.package} is needless: {said}"


def _states(override: Override, asker: str, demand: Requirement) -> bool:
    """Whether an override speaks of exactly this demand."""
    return (
        (override.asked_by, override.package) == (asker, canonicalize_name(demand.name))
    ) and SpecifierSet(override.asks) == demand.specifier


def _asked(
    stack: Stack, wheels: Mapping[str, Wheel], own: Sequence[str]
) -> list[tuple[str, Requirement]]:
    """Who asks what, on the stack's Python and platform, with the extras that others ask for."""
    lines = {name: wheel.requires for name, wheel in wheels.items()} | {DSK: tuple(own)}
    demands = {name: [Requirement(line) for line in asked] for name, asked in lines.items()}
    extras: dict[str, set[str]] = {name: {""} for name in demands}
    environment = _environment(stack)
    while True:
        active = [
            (asker, demand)
            for asker, asked in demands.items()
            for demand in asked
            if demand.marker is None
            or any(demand.marker.evaluate(environment | {"extra": one}) for one in extras[asker])
        ]
        before = sum(map(len, extras.values()))
        for _, demand in active:
            extras.get(canonicalize_name(demand.name), set()).update(demand.extras)
        if sum(map(len, extras.values())) == before:
            return active


def _environment(stack: Stack) -> dict[str, str]:
    """The markers' variables on a stack's machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{stack.python}.99",
        "os_name": "posix",
        "platform_machine": stack.host.arch,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{stack.python}.99",
        "python_version": stack.python,
        "sys_platform": "linux",
    }


def _cuda(stack: Stack, locked: Sequence[Locked], wheels: Mapping[str, Wheel]) -> Iterator[str]:
    """One CUDA major in everything that the stack's processes load together."""
    said: dict[int, list[str]] = {}
    for name, wheel in wheels.items():
        for major in wheel.cuda:
            said.setdefault(major, []).append(f"{name}'s libraries")
    for one in locked:
        suffix = _SUFFIXED.search(one.name)
        if suffix:
            said.setdefault(int(suffix[1]), []).append(one.name)
        elif one.name in _VERSIONED:
            said.setdefault(int(one.version.split(".")[0]), []).append(f"{one.name} {one.version}")
    for what, text in _bases(stack):
        said.setdefault(int(text.split(".")[0]), []).append(what)
    if len(said) > 1:
        told = "; ".join(
            f"{major}: {', '.join(sorted(names)[:6])}" for major, names in sorted(said.items())
        )
        yield f"CUDA of several majors in one process: {told}"


def _bases(stack: Stack) -> Iterator[tuple[str, str]]:
    """Where else a stack names a CUDA release: its floor, and the images it is made on."""
    if stack.gpu:
        yield "the stack's gpu.cuda", stack.gpu.cuda
    if stack.image is None:
        return
    built = ", ".join(source.package for source in stack.sources)
    for what, base in (
        ("the image that it runs in", stack.image.runtime),
        (f"the image that builds {built}", stack.image.devel),
    ):
        if release := _RELEASE.search(base or ""):
            yield what, release[1]


def _without_cuda(stack: Stack, wheels: Mapping[str, Wheel]) -> Iterator[str]:
    """What would leave a stack of a card without CUDA, or compile against one of no known major."""
    if stack.device != "cuda":
        return
    for name in ("torch", "vllm"):
        if name in wheels and not wheels[name].cuda:
            pinned = f"{name} {wheels[name].version}"
            yield f"{pinned}: its libraries name no CUDA, and the stack is for a card"
    if stack.sources and stack.image and not _RELEASE.search(stack.image.devel or ""):
        built = ", ".join(source.package for source in stack.sources)
        devel = stack.image.devel or "not given"
        yield f"image.devel is {devel}: which CUDA compiles {built} cannot be told from its name"

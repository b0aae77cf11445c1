"""What is known about a host: one record a probe, without names, keys or serial numbers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

GIB = 2**30

Release = tuple[int, ...]


class Record(BaseModel):
    """Base of the records: immutable, and nothing in them that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class System(Record):
    """The operating system, as it names itself."""

    kind: str
    """``Linux``."""
    machine: str
    """``x86_64``."""
    distribution: str
    """os-release's ID, such as ``debian``; empty where there is none."""
    codename: str
    """os-release's VERSION_CODENAME, such as ``bookworm``."""
    name: str
    """os-release's PRETTY_NAME."""
    root: bool
    """Whether we run as root."""
    apt_source: str = ""
    """The standard file that holds apt's sources for this codename."""


class Card(Record):
    """One NVIDIA card, as NVML knows it; memory in bytes."""

    name: str = Field(min_length=1)
    compute_capability: tuple[int, int]
    memory_total: int = Field(gt=0)
    memory_free: int = Field(ge=0)


class Nvidia(Record):
    """The driver and its cards."""

    on_bus: int = Field(default=0, ge=0)
    """NVIDIA display controllers on the PCI bus."""
    module: Release = ()
    """The kernel module's release; empty when it is not loaded."""
    driver: Release = ()
    """The release that NVML answers with; empty when it does not."""
    cuda: Release = ()
    """The newest CUDA that the driver runs, such as ``(12, 4)``."""
    cards: tuple[Card, ...] = ()
    problem: str = ""
    """NVML's own words when it does not answer."""


class Docker(Record):
    """The container engine."""

    client: bool
    """Whether there is a ``docker`` program."""
    engine: str = ""
    """The engine's release; empty when it does not answer."""
    buildx: str = ""
    """The buildx plugin's release; empty when there is none."""
    problem: str = ""
    """Why the engine does not answer."""


class Libraries(Record):
    """The C and C++ libraries that compiled packages are loaded with."""

    glibc: Release
    glibcxx: Release = ()
    """The newest GLIBCXX symbol version of libstdc++; empty when there is none."""


class Memory(Record):
    """RAM in bytes."""

    total: int = Field(gt=0)
    available: int = Field(ge=0)


class Disk(Record):
    """Free bytes where the cache folder is, or would be."""

    free: int = Field(ge=0)


class Python(Record):
    """This interpreter: its release, what is installed in it, and what it is told about engines."""

    release: Release
    on_path: tuple[str, ...]
    """Minor versions with an interpreter on PATH, such as ``3.11``."""
    packages: dict[str, str]
    """Versions of the packages that a stack pins, where they are installed here."""
    vllm_use_v1: str | None = None
    """``VLLM_USE_V1`` as it is set; None when it is not."""


class Installed(Record):
    """One of dsk's environments."""

    stack: str
    lock_sha256: str
    packages: dict[str, str]


class Environments(Record):
    """dsk's environments that are there."""

    present: tuple[Installed, ...] = ()


class Facts(Record):
    """Everything that was gathered. A failed probe left None, and its reason in ``failures``."""

    system: System | None = None
    nvidia: Nvidia | None = None
    libraries: Libraries | None = None
    python: Python | None = None
    environments: Environments | None = None
    docker: Docker | None = None
    memory: Memory | None = None
    disk: Disk | None = None
    failures: dict[str, str] = Field(default_factory=dict)

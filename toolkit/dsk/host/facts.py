"""What is known about a host: one record a probe, without names, keys or serial numbers."""

from __future__ import annotations

from typing import Literal

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
    wsl: int = Field(default=0, ge=0, le=2)
    """Which Windows Subsystem for Linux this is, 1 or 2; 0 for none."""
    container: str = ""
    """What kind of container we are in, such as ``docker``; empty for none."""


class Holder(Record):
    """A program that holds memory of a card."""

    pid: int = Field(ge=0)
    program: str
    """Its file's name, without folder and arguments."""
    memory: int | None = Field(default=None, ge=0)
    """Bytes; None where the driver does not tell, as on Windows."""


class Card(Record):
    """One NVIDIA card, as NVML knows it; memory in bytes."""

    name: str = Field(min_length=1)
    compute_capability: tuple[int, int]
    memory_total: int = Field(gt=0)
    memory_free: int = Field(ge=0)
    holders: tuple[Holder, ...] = ()
    mig: tuple[int, ...] | None = None
    """The memory of each MIG instance; empty when MIG is on and none is made, None when it is off.
    """
    ecc_errors: int | None = Field(default=None, ge=0)
    """Uncorrected memory errors since the driver was loaded; None without ECC."""


class LibCuda(Record):
    """The CUDA driver library that the loader gives to a program."""

    release: Release = ()
    """Of its file's name; empty where that has none, as under WSL."""
    cuda: Release = ()
    """The newest CUDA that it runs, by its own word."""
    kind: Literal["driver", "compat", "stub", "wsl"] = "driver"
    """``compat``: CUDA's forward compatibility package. ``stub``: for linking only."""


class Nvidia(Record):
    """The driver and its cards."""

    on_bus: int = Field(default=0, ge=0)
    """NVIDIA display controllers on the PCI bus."""
    device_files: int = Field(default=0, ge=0)
    """``/dev/nvidia0`` and on; under WSL ``/dev/dxg``."""
    module: Release = ()
    """The kernel module's release; empty when it is not loaded."""
    driver: Release = ()
    """The release that NVML answers with; empty when it does not."""
    cuda: Release = ()
    """The newest CUDA that the driver runs, such as ``(12, 4)``."""
    cards: tuple[Card, ...] = ()
    lost: tuple[str, ...] = ()
    """NVML's words for each card that it counts and cannot describe."""
    libcuda: LibCuda | None = None
    problem: str = ""
    """NVML's own words when it does not answer."""
    error: int = 0
    """NVML's number for that, such as 18 for a library of another release than the module."""


class Started(Record):
    """A container that was really started, to end at once."""

    gpus: bool
    """Whether it asked for the NVIDIA cards."""
    problem: str = ""
    """Why it did not run; empty when it did."""


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
    nvidia_runtime: bool = False
    """Whether the engine knows the NVIDIA container toolkit's runtime."""
    cdi: bool = False
    """Whether the NVIDIA cards are described for containers (CDI)."""
    toolkit: bool = False
    """Whether the NVIDIA container toolkit is installed."""
    started: Started | None = None
    """None where no container could be tried."""
    not_tried: str = ""
    """Why not."""


class Libraries(Record):
    """The C and C++ libraries that compiled packages are loaded with."""

    glibc: Release
    glibcxx: Release = ()
    """The newest GLIBCXX symbol version of libstdc++; empty when there is none."""


class Processor(Record):
    """The CPU."""

    name: str = Field(min_length=1)
    """As it calls itself, such as ``AMD EPYC 7763 64-Core Processor``."""
    cores: int = Field(gt=0)
    """The logical ones that we may use."""
    instruction_sets: tuple[str, ...] = ()
    """Those that decide the engine's speed: AVX2, AVX-512, AVX-512 BF16, AMX BF16."""


class Memory(Record):
    """RAM in bytes."""

    total: int = Field(gt=0)
    available: int = Field(ge=0)
    limit: int | None = Field(default=None, gt=0)
    """What a container or a service may take of it; None without a limit."""
    shared: int | None = Field(default=None, ge=0)
    """The size of ``/dev/shm``; None where there is none."""


class Disk(Record):
    """Free bytes where the cache folder is, or would be."""

    free: int = Field(ge=0)
    writable: bool = True


class Process(Record):
    """What a program that we start is given."""

    open_files: int = Field(ge=0)
    """How many files it may have open; what it may raise that to itself counts."""
    now: int = Field(ge=0)
    """The clock, in seconds since 1970."""


class Linkage(Record):
    """How compiled packages of one Python fit together, read from their files; nothing is run."""

    torch_cuda: str = ""
    """The CUDA release that torch was built with; empty for none."""
    torch_cxx11_abi: bool | None = None
    """Which of GCC's two string types torch was built with; None where torch does not tell."""
    cuda_majors: tuple[int, ...] = ()
    """The major releases of CUDA whose runtime libraries are installed."""
    unresolved: dict[str, str] = Field(default_factory=dict)
    """For each package linked with torch, a symbol that this torch does not have."""
    not_importable: dict[str, str] = Field(default_factory=dict)
    """For each of these packages that has no library for this Python, why."""


class Python(Record):
    """This interpreter: its release, what is installed in it, and what it is told about engines."""

    release: Release
    on_path: tuple[str, ...]
    """Minor versions with an interpreter on PATH, such as ``3.11``."""
    packages: dict[str, str]
    """Versions of the packages that a stack pins, where they are installed here."""
    vllm_use_v1: str | None = None
    """``VLLM_USE_V1`` as it is set; None when it is not."""
    linkage: Linkage | None = None
    """None where torch is not installed here."""
    patch: str = ""
    """Whether remote code is patched here, in the words of `dsk patch status`; empty without
    transformers."""
    patched: bool = False


class Installed(Record):
    """One of dsk's environments."""

    stack: str
    lock_sha256: str
    packages: dict[str, str]
    opened: bool = False
    """Whether its files were looked at; only those of the stack that is judged are."""
    changed: dict[str, str] = Field(default_factory=dict)
    """Packages that are not what was installed, each with what it is now and was."""
    edited: dict[str, int] = Field(default_factory=dict)
    """Packages with files whose hash is not the recorded one, and how many such files."""
    linkage: Linkage | None = None


class Environments(Record):
    """dsk's environments that are there."""

    present: tuple[Installed, ...] = ()


class Snapshot(Record):
    """One revision of a model in the hub's cache."""

    revision: str
    main: bool
    """Whether it is what the name ``main`` stands for."""
    missing: tuple[str, ...] = ()
    """Files that the model needs and that are not there, or are empty."""


class Models(Record):
    """The model in the hub's cache."""

    snapshots: tuple[Snapshot, ...] = ()
    partial: int = Field(default=0, ge=0)
    """Downloads that were begun and not ended."""
    patched: int = Field(default=0, ge=0)
    """Files of its code that this dsk patched on disk."""
    outdated: int = Field(default=0, ge=0)
    """Files that another dsk patched."""


class Facts(Record):
    """Everything that was gathered. A failed probe left None, and its reason in ``failures``."""

    system: System | None = None
    processor: Processor | None = None
    nvidia: Nvidia | None = None
    libraries: Libraries | None = None
    python: Python | None = None
    environments: Environments | None = None
    docker: Docker | None = None
    models: Models | None = None
    memory: Memory | None = None
    disk: Disk | None = None
    process: Process | None = None
    failures: dict[str, str] = Field(default_factory=dict)

    def with_more(self, others: Facts) -> Facts:
        """These, and what other probes found."""
        told = {name: value for name, value in others if value is not None and name != "failures"}
        return self.model_copy(update=told | {"failures": {**self.failures, **others.failures}})

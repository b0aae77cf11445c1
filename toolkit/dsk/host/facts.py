"""Facts about a host: one record a probe, without names, keys or serial numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dsk.frozen import Frozen

# The names of fields are keys of --save-facts and of `dsk doctor --json`: renaming one makes the
# facts that users recorded unreadable.

GIB = 2**30

Release = tuple[int, ...]


class System(Frozen):
    """Operating system, under the names that it gives itself."""

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
    """True if the user is root."""
    apt_source: str = ""
    """No longer gathered."""
    wsl: int = Field(default=0, ge=0, le=2)
    """Version of the Windows Subsystem for Linux, 1 or 2; 0 without one."""
    container: str = ""
    """Kind of the container around this process, such as ``docker``; empty without one."""
    image: str = ""
    """Stack of the image of dsk that this container is of; empty for any other."""


class Holder(Frozen):
    """Program that holds memory of a GPU."""

    pid: int = Field(ge=0)
    program: str
    """Name of its file, without folder and arguments."""
    memory: int | None = Field(default=None, ge=0)
    """Bytes; None where the driver does not report them, as on Windows."""


class Card(Frozen):
    """NVIDIA GPU as NVML describes it; memory in bytes."""

    name: str = Field(min_length=1)
    compute_capability: tuple[int, int]
    memory_total: int = Field(gt=0)
    memory_free: int | None = Field(ge=0)
    """None where the driver does not tell it."""
    holders: tuple[Holder, ...] = ()
    # MIG divides a data-centre GPU into instances, and only these can run programs.
    mig: tuple[int, ...] | None = None
    """Memory of each MIG instance; empty with MIG on and no instance, None with MIG off."""
    mig_free: tuple[int, ...] = ()
    """Free memory of each of them."""
    unified: bool = False
    """True if its memory is the machine's, as a GB10's is."""
    ecc_errors: int | None = Field(default=None, ge=0)
    """Uncorrected memory errors since the driver was loaded; None without ECC."""
    # Names of one card and no other: facts that leave this process have none of them.
    number: int | None = Field(default=None, ge=0, exclude=True)
    """Its number in PCI order, which is NVML's and nvidia-smi's."""
    uuid: str = Field(default="", exclude=True)
    mig_uuids: tuple[str, ...] = Field(default=(), exclude=True)
    """UUID of each MIG instance."""


class LibCuda(Frozen):
    """CUDA driver library that the loader finds for programs."""

    release: Release = ()
    """Release in its file's name; empty where that has none, as under WSL."""
    cuda: Release = ()
    """Newest CUDA that it says it supports."""
    # CUDA's compatibility package and the toolkit's stubs have libraries of the same name.
    kind: Literal["driver", "compat", "stub", "wsl"] = "driver"
    """``compat``: CUDA's forward compatibility package. ``stub``: for linking only."""


class Nvidia(Frozen):
    """NVIDIA driver and its GPUs."""

    on_bus: int = Field(default=0, ge=0)
    """NVIDIA display controllers on the PCI bus."""
    # WSL shows no NVIDIA device on the PCI bus: there this file is the only sign of a GPU.
    device_files: int = Field(default=0, ge=0)
    """``/dev/nvidia0`` and on; under WSL ``/dev/dxg``."""
    module: Release = ()
    """Release of the kernel module; empty when it is not loaded."""
    driver: Release = ()
    """Release that NVML answers with; empty when it does not answer."""
    cuda: Release = ()
    """Newest CUDA that the driver supports, such as ``(12, 4)``."""
    cards: tuple[Card, ...] = ()
    lost: tuple[str, ...] = ()
    """NVML's message for each GPU that it counts and cannot describe."""
    unjudged: tuple[str, ...] = ()
    """Each GPU that answers and is not described far enough to be judged, with what is missing."""
    libcuda: LibCuda | None = None
    problem: str = ""
    """NVML's message when it does not answer."""
    error: int = 0
    """NVML's error number, such as 18 for a library of another release than the module."""


class Started(Frozen):
    """Trial start of a container that ends at once."""

    gpus: bool
    """True if it asked for the NVIDIA GPUs."""
    problem: str = ""
    """Reason why it did not run; empty when it did."""


class Docker(Frozen):
    """Container engine and its plugins."""

    client: bool
    """True if there is a ``docker`` program."""
    engine: str = ""
    """Release of the engine; empty when it does not answer."""
    buildx: str = ""
    """Release of the buildx plugin; empty when there is none."""
    compose: str | None = None
    """Release of the compose plugin; empty when there is none, None where nobody looked."""
    desktop: bool = False
    """True if the engine is Docker Desktop's, whose virtual machine brings the GPU support."""
    podman: bool = False
    """True if the ``docker`` program is Podman's."""
    problem: str = ""
    """Reason why the engine does not answer."""
    nvidia_runtime: bool = False
    """True if the NVIDIA container toolkit's runtime is registered with the engine."""
    cdi: bool = False
    """True if CDI, the container device interface, describes the NVIDIA GPUs."""
    toolkit: bool = False
    """True if the NVIDIA container toolkit is installed."""
    started: Started | None = None
    """None where no container could be tried."""
    not_tried: str = ""
    """Reason for that."""


class Libraries(Frozen):
    """C and C++ libraries that compiled packages are loaded with."""

    glibc: Release
    glibcxx: Release = ()
    """Newest GLIBCXX symbol version of libstdc++; empty when there is none."""


class Processor(Frozen):
    """CPU and what it can do."""

    name: str = Field(min_length=1)
    """Model name, such as ``AMD EPYC 7763 64-Core Processor``."""
    cores: int = Field(gt=0)
    """Logical cores that this process may use."""
    instruction_sets: tuple[str, ...] = ()
    """Sets that decide the engine's speed: AVX2, AVX-512, AVX-512 BF16, AMX BF16."""


class Memory(Frozen):
    """RAM in bytes, and its limits."""

    total: int = Field(gt=0)
    available: int = Field(ge=0)
    # /proc/meminfo shows the host's memory inside a container too.
    limit: int | None = Field(default=None, gt=0)
    """Most that this container or service may use; None without a limit."""
    shared: int | None = Field(default=None, ge=0)
    """Size of ``/dev/shm``; None where there is none."""


class Disk(Frozen):
    """Free bytes where the cache folder is, or would be."""

    free: int = Field(ge=0)
    writable: bool = True


class Process(Frozen):
    """Limits and clock of a program that dsk starts."""

    open_files: int = Field(ge=0)
    """Most files it may have open, with its limit raised as far as it is allowed to."""
    now: int = Field(ge=0)
    """Time of the clock, in seconds since 1970."""


class Confinement(Frozen):
    """Means by which the kernel confines the processes that open documents."""

    landlock: int = Field(ge=0)
    """Version of Landlock's interface; 0 if the kernel offers none."""
    landlock_error: int = 0
    """Error number of the kernel where it offers none."""
    seccomp: bool
    """True if it filters system calls."""


class Linkage(Frozen):
    """Compatibility of one Python's compiled packages, read from their files."""

    torch_cuda: str = ""
    """CUDA release that torch was built with; empty for none."""
    # Extensions must be built with the same one: the type is part of the mangled names.
    torch_cxx11_abi: bool | None = None
    """True if torch was built with GCC's new string type; None where torch does not say."""
    cuda_majors: tuple[int, ...] = ()
    """Major releases of CUDA whose runtime libraries are installed."""
    unresolved: dict[str, str] = Field(default_factory=dict)
    """A symbol that this torch lacks, for each package that is linked with such a one."""
    not_importable: dict[str, str] = Field(default_factory=dict)
    """Reason, for each of these packages that has no library for this Python."""


class Python(Frozen):
    """This interpreter, its packages, and its environment variables for engines."""

    release: Release
    on_path: tuple[str, ...]
    """Minor versions with an interpreter on PATH, such as ``3.11``."""
    packages: dict[str, str]
    """Versions of the packages that a stack pins, where they are installed here."""
    vllm_use_v1: str | None = None
    """Value of ``VLLM_USE_V1``; None when it is not set."""
    linkage: Linkage | None = None
    """None where torch is not installed here."""
    patch: str = ""
    """State of the patch, as `dsk patch status` prints it; empty without transformers."""
    patched: bool = False


class Installed(Frozen):
    """Environment made by dsk."""

    stack: str
    lock_sha256: str
    packages: dict[str, str]
    opened: bool = False
    """True if its files were read, as only those of the checked stack are."""
    changed: dict[str, str] = Field(default_factory=dict)
    """Packages of other versions than installed, each with its present and former one."""
    edited: dict[str, int] = Field(default_factory=dict)
    """Number of files whose hash is not the recorded one, by package."""
    linkage: Linkage | None = None


class Environments(Frozen):
    """Environments made by dsk that exist."""

    present: tuple[Installed, ...] = ()


class Snapshot(Frozen):
    """One revision of a model in the hub's cache."""

    revision: str
    main: bool
    """True if the name ``main`` refers to it."""
    missing: tuple[str, ...] = ()
    """Files that the model needs and that are missing or empty."""


class CachedModel(Frozen):
    """State of a model in the hub's cache."""

    snapshots: tuple[Snapshot, ...] = ()
    partial: int = Field(default=0, ge=0)
    """Downloads that were started and not finished."""
    patched: int = Field(default=0, ge=0)
    """Files of its code that this dsk patched on disk."""
    outdated: int = Field(default=0, ge=0)
    """Files that another release of dsk patched."""


class Models(CachedModel):
    """State of the models in the hub's cache: the default one, and the others by their ids."""

    # Facts that were recorded when there was one model stay readable.
    others: dict[str, CachedModel] = Field(default_factory=dict)


class Facts(Frozen):
    """All facts about a host. A failed probe leaves None, and its reason in ``failures``."""

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
    confinement: Confinement | None = None
    # Kept apart from the records, so that a record is complete or missing.
    failures: dict[str, str] = Field(default_factory=dict)

    def merged_with(self, others: Facts) -> Facts:
        """Return these facts together with those of other probes."""
        more = {name: value for name, value in others if value is not None and name != "failures"}
        return self.model_copy(update=more | {"failures": {**self.failures, **others.failures}})

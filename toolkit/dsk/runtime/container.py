"""Runtime of a stack's image: without network, read-only, as an ordinary user."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dsk import paths, processes
from dsk.credentials import without_credentials
from dsk.errors import EngineMissing, UsageProblem
from dsk.images.local_images import docker, rootless
from dsk.processes import Child
from dsk.runtime import mounts
from dsk.runtime.base import QUIET
from dsk.runtime.ownership import UNUSED_USER, lend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dsk.images.local_images import LocalImage
    from dsk.matrix import Stack

# Limit of `/dev/shm`, as docker takes it; unused, it takes no memory.
SHM_SIZE: Final = "8g"

# The user's settings of the engine and its libraries are passed on; paths of this machine are not.
_PASSED_ON: Final = ("CUDA_", "DSK_", "NCCL_", "OMP_", "TORCH_", "VLLM_")
_HOST_PATHS: Final = ("DSK_CACHE", "DSK_COMPAT", "CUDA_HOME", "CUDA_PATH", "VLLM_CACHE_ROOT")
# The user has no entry in the image's /etc/passwd: Python reads these variables first. /tmp is the
# one writable folder for caches.
_USER: Final = {"HOME": "/tmp", "USER": "dsk", "LOGNAME": "dsk", "PYTHONSAFEPATH": "1"}  # noqa: S108
_SCRATCH: Final = "rw,exec,nosuid,nodev,mode=1777"  # compiled kernels are loaded from there
# Folder inside, of the kernels that earlier engines of the image have compiled.
_KERNELS: Final = Path("/var/cache/dsk")
_KERNELS_OF: Final = {
    "VLLM_CACHE_ROOT": "vllm",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "CUDA_CACHE_PATH": "nv",
}
# Threads count as processes, and libraries of the engine and of each page worker start one a core.
_PIDS: Final = 4096
_PIDS_PER_CORE: Final = 64
# What the rest of the machine keeps, in bytes and as a part of its memory, whichever is more.
_LEFT_FREE: Final = 1 << 30
_PART_LEFT_FREE: Final = 0.05
_REMOVAL_SECONDS: Final = 30
_EVENT_SECONDS: Final = 0.5
_ROOT: Final = (0, 0)


class ContainerRuntime:
    """Container of a stack's image, see `dsk.runtime.base.Runtime`; made by `container`."""

    # The docker program starts it, not the SDK: it forwards signals, keeps stdout and stderr apart,
    # exits with the container's code, and can be waited for and killed like any other child.

    def __init__(
        self,
        stack: Stack,
        image: LocalImage,
        mounted: Sequence[mounts.Mount],
        *,
        user: tuple[int, int],
        copies: Path,
        shm_size: str = SHM_SIZE,
        gpus: Sequence[str] = (),
    ) -> None:
        self._gpus = tuple(gpus)
        self._stack = stack
        self._image = image
        self._mounts = tuple(mounted)
        self._user = user
        self._copies = copies
        self._shm_size = shm_size

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> Child:
        """Start a module, see `Runtime.start`; arguments that are paths can be read inside."""
        name = f"dsk-{secrets.token_hex(8)}"
        variables = self._variables() | dict(environment or {})
        files = [argument for argument in arguments if isinstance(argument, Path)]
        more = (readable(mount, self._user, self._copies) for mount in mounts.read_mounts(files))
        options = self._options(name, [*self._mounts, *more], variables)
        options += ["--interactive"] if stdin is not None else []
        inside = [
            str(mounts.container_path(argument)) if isinstance(argument, Path) else argument
            for argument in arguments
        ]
        return Child(
            [docker(), "run", *options, self._image.id, "-m", module, *inside],
            environment=dict(os.environ) | variables,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            # A killed docker program leaves its container running.
            afterwards=["timeout", str(_REMOVAL_SECONDS), docker(), "rm", "--force", name],
            was_out_of_memory=functools.partial(was_out_of_memory, name, time.time()),
        )

    def _variables(self) -> dict[str, str]:
        ours = {
            name: value
            for name, value in without_credentials(os.environ).items()
            if name.startswith(_PASSED_ON) and name not in _HOST_PATHS
        }
        if self._gpus:  # the container has these alone, and counts them anew
            ours.pop("CUDA_VISIBLE_DEVICES", None)
        return ours | QUIET | self._stack.environment

    def _options(
        self, name: str, mounted: Sequence[mounts.Mount], variables: Mapping[str, str]
    ) -> list[str]:
        user, group = self._user
        options = [
            f"--name={name}",
            "--rm",
            "--init",  # the kernel ignores SIGTERM to process 1 without a handler; and it reaps
            "--pull=never",
            "--log-driver=none",
            "--no-healthcheck",  # the image's is for a server
            "--network=none",
            f"--user={user}:{group}",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--read-only",
            "--workdir=/",
            f"--shm-size={self._shm_size}",
            *_limits(),
            "--entrypoint=python",
        ]
        if user == os.geteuid():  # folders may be readable through another of the user's groups
            others = sorted(set(os.getgroups()) - {0, group})
            options += [f"--group-add={other}" for other in others]
        if self._stack.device == "cuda":
            # Quoted, or docker takes what follows a comma for another option.
            named = f'"device={",".join(self._gpus)}"'
            options.append(f"--gpus={named if self._gpus else 'all'}")
        options.append(f"--tmpfs=/tmp:{_SCRATCH}")
        parents = {parent for mount in mounted for parent in mount.target.parents}
        closed = [folder for folder in mounts.CLOSED if folder in parents]
        options += [f"--tmpfs={folder}:rw,nosuid,nodev,mode=755" for folder in closed]
        options += [f"--mount={mount.option}" for mount in dict.fromkeys(mounted)]
        caches = {name: str(_KERNELS / folder) for name, folder in _KERNELS_OF.items()}
        has_caches = _KERNELS in (mount.target for mount in mounted)
        fixed = _USER | (caches if has_caches else {})
        options += [f"--env={variable}={value}" for variable, value in fixed.items()]
        # By name alone: a value may be a key, and every user can list arguments of processes.
        return options + [f"--env={variable}" for variable in variables]


@contextlib.contextmanager
def container(
    stack: Stack,
    image: LocalImage,
    *,
    reads: Sequence[Path],
    out: Path,
    folders: Sequence[Path] = (),
    shm_size: str = SHM_SIZE,
    gpus: Sequence[str] = (),
) -> Iterator[ContainerRuntime]:
    """Yield a runtime of a stack's image, which can read what it is given and write one folder.

    Args:
        stack: the image's stack.
        image: see `dsk.images.local_images.image_for`.
        reads: files and folders to be readable inside, at the same paths.
        out: the folder of the outputs.
        folders: folders below it, existing or not, that will be written to.
        shm_size: the size of ``/dev/shm``, as docker takes it.
        gpus: UUIDs of the GPUs and MIG instances that it gets; all of the machine's without any.

    Raises:
        EngineMissing: the engine does not answer.
        UsageProblem: a folder cannot be mounted, or cannot be read inside.
    """
    # It runs as the caller; for root, as a user id that nobody has, which owns the output folder
    # meanwhile. In a rootless engine the caller is the container's root, and ids are mapped.
    as_root = os.geteuid() == 0
    caller = _ROOT if not as_root and rootless() else (os.geteuid(), os.getegid())
    user = UNUSED_USER if as_root else caller
    with tempfile.TemporaryDirectory(prefix="dsk-container-") as name:
        copies = Path(name)
        mounted = [readable(mount, user, copies) for mount in mounts.read_mounts(reads)]
        mounted += [mounts.write_mount(out), *_kernels(image, user)]
        with lend([out, *folders], user) if as_root else contextlib.nullcontext():
            yield ContainerRuntime(
                stack, image, mounted, user=user, copies=copies, shm_size=shm_size, gpus=gpus
            )


def _limits() -> list[str]:
    """Return the options that keep a container from taking all of the machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = memory - max(_LEFT_FREE, int(memory * _PART_LEFT_FREE))
    pids = _PIDS + _PIDS_PER_CORE * (os.cpu_count() or 1)
    # Equal values leave no swap: a swapping engine would slow down the whole machine for hours.
    return [f"--pids-limit={pids}", f"--memory={limit}", f"--memory-swap={limit}"]


def was_out_of_memory(name: str, began: float) -> bool:
    """Return True if the kernel's out-of-memory killer has ended a process of a container.

    Args:
        name: the container's, which may be gone.
        began: the time of its start, in `time.time` seconds.
    """
    # Not by `docker inspect`: it is removed as it ends. The engine keeps its last 256 events; one
    # that it writes late is waited for.
    period = [f"--since={began:.3f}", f"--until={time.time() + _EVENT_SECONDS:.3f}"]
    command = [docker(), "events", *period, f"--filter=container={name}", "--filter=event=oom"]
    try:
        events = processes.capture([*command, "--format={{.Action}}"], seconds=_REMOVAL_SECONDS)
    except EngineMissing:
        return False
    return bool(events.stdout.strip())


def _kernels(image: LocalImage, user: tuple[int, int]) -> list[mounts.Mount]:
    """Return the mount for an image's compiled kernels; empty if its folder cannot be made."""
    # Outside a container, two engines on an H200 started in 44 s with such caches, in 109 without.
    folder = paths.cache() / "kernels" / f"{image.id.removeprefix('sha256:')[:16]}-{user[0]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if user == UNUSED_USER:
            os.chown(folder, *user)
    except OSError:
        return []
    return [mounts.Mount(source=folder.resolve(), target=_KERNELS, writable=True)]


def readable(mount: mounts.Mount, user: tuple[int, int], copies: Path) -> mounts.Mount:
    """Return a mount that the user inside can read; of a file that only root can read, a copy.

    Raises:
        UsageProblem: only root can read the folder. It is not copied: it may hold a model.
    """
    if user != UNUSED_USER:
        return mount
    mode = mount.source.stat().st_mode
    if mount.source.is_dir():
        if mode & 0o005 == 0o005:
            return mount
        what = f"the folder {mount.source} cannot be read by the container's user"
        raise UsageProblem(what, do=f"chmod o+rx {mount.source}")
    if mode & 0o004:
        return mount
    copy = copies / secrets.token_hex(8)
    shutil.copyfile(mount.source, copy)
    os.chown(copy, *user)
    return mounts.Mount(source=copy, target=mount.target)

"""A stack's image as a place to run in: closed to the network, read-only, as an ordinary user."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dsk import paths
from dsk.errors import UsageProblem
from dsk.images.local_images import docker, rootless
from dsk.processes import Child
from dsk.runtime import mounts
from dsk.runtime.base import QUIET
from dsk.runtime.ownership import NOBODYS, lent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dsk.images.local_images import LocalImage
    from dsk.matrix import Stack

SHM_SIZE: Final = "8g"
"""A limit: what is not used takes no memory."""

# The user's own settings of the engine and of its libraries go in; our own paths do not.
_PASSED_ON: Final = ("CUDA_", "DSK_", "NCCL_", "OMP_", "TORCH_", "VLLM_")
_OUR_PLACES: Final = ("DSK_CACHE", "DSK_COMPAT", "CUDA_HOME", "CUDA_PATH", "VLLM_CACHE_ROOT")
# Without a network the engine's processes meet on the loopback device.
_ALONE: Final = {"VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
# A user without a name in the image: Python asks these first. Caches go where writing is allowed.
_ANYBODY: Final = {"HOME": "/tmp", "USER": "dsk", "LOGNAME": "dsk", "PYTHONSAFEPATH": "1"}  # noqa: S108
_SCRATCH: Final = "rw,exec,nosuid,nodev,mode=1777"  # compiled kernels are loaded from there
_KERNELS: Final = Path("/var/cache/dsk")
"""Where an engine finds the kernels that earlier ones of its image have compiled."""
_KERNELS_OF: Final = {
    "VLLM_CACHE_ROOT": "vllm",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
}
_REMOVAL_SECONDS: Final = 30
_ROOT: Final = (0, 0)


class ContainerRuntime:
    """An image of a stack; see `dsk.runtime.base.Runtime`. Made by `container`.

    The docker program starts it, not the SDK: it passes signals on, keeps the two outputs apart,
    ends with the container's own exit code, and can be watched and ended like any other child.
    """

    def __init__(
        self,
        stack: Stack,
        image: LocalImage,
        seen: Sequence[mounts.Mount],
        *,
        user: tuple[int, int],
        copies: Path,
        shm_size: str = SHM_SIZE,
    ) -> None:
        self._stack = stack
        self._image = image
        self._seen = tuple(seen)
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
        """See `Runtime.start`; arguments that are paths are there to be read inside."""
        name = f"dsk-{secrets.token_hex(8)}"
        variables = self._variables() | dict(environment or {})
        files = [argument for argument in arguments if isinstance(argument, Path)]
        shown = (readable(one, self._user, self._copies) for one in mounts.reading(files))
        seen = [*self._seen, *shown]
        options = self._options(name, seen, variables)
        options += ["--interactive"] if stdin is not None else []
        given = [str(mounts.placed(one)) if isinstance(one, Path) else one for one in arguments]
        return Child(
            [docker(), "run", *options, self._image.id, "-m", module, *given],
            environment=dict(os.environ) | variables,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            # The program that is killed leaves its container running.
            afterwards=["timeout", str(_REMOVAL_SECONDS), docker(), "rm", "--force", name],
        )

    def _variables(self) -> dict[str, str]:
        ours = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_PASSED_ON) and name not in _OUR_PLACES
        }
        return ours | QUIET | _ALONE | self._stack.environment

    def _options(
        self, name: str, seen: Sequence[mounts.Mount], variables: Mapping[str, str]
    ) -> list[str]:
        user, group = self._user
        options = [
            f"--name={name}",
            "--rm",
            "--init",  # the kernel spares process 1 a request to end; and it reaps
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
            "--entrypoint=python",
        ]
        if user == os.geteuid():
            others = sorted(set(os.getgroups()) - {0, group})
            options += [f"--group-add={other}" for other in others]
        if self._stack.device == "cuda":
            options.append("--gpus=all")
        options.append(f"--tmpfs=/tmp:{_SCRATCH}")
        parents = {parent for one in seen for parent in one.target.parents}
        closed = [place for place in mounts.CLOSED if place in parents]
        options += [f"--tmpfs={place}:rw,nosuid,nodev,mode=755" for place in closed]
        options += [f"--mount={one.option}" for one in dict.fromkeys(seen)]
        places = {name: str(_KERNELS / folder) for name, folder in _KERNELS_OF.items()}
        set_here = _ANYBODY | (places if _KERNELS in (one.target for one in seen) else {})
        options += [f"--env={variable}={value}" for variable, value in set_here.items()]
        # By name alone: a value, which may be a key, is in no list of processes.
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
) -> Iterator[ContainerRuntime]:
    """A stack's image, with what it may read and the one folder it may write to.

    It runs as the caller. Where that is root, it runs as a user that nobody is, who is lent the
    output folder; what was lent and what was written is the caller's again at the end. To an engine
    without root the caller is the container's root, and every other user a stranger to both.

    Args:
        stack: the image's.
        image: see `dsk.images.local_images.image_for`.
        reads: files and folders, seen at their own paths.
        out: the folder of the outputs.
        folders: those below it, there or not, that will be written to.
        shm_size: the size of ``/dev/shm``, as docker takes it.

    Raises:
        EngineMissing: the engine does not answer.
        UsageProblem: a folder cannot be shown inside, or not be read there.
    """
    as_root = os.geteuid() == 0
    caller = _ROOT if not as_root and rootless() else (os.geteuid(), os.getegid())
    user = NOBODYS if as_root else caller
    with tempfile.TemporaryDirectory(prefix="dsk-container-") as name:
        copies = Path(name)
        seen = [readable(one, user, copies) for one in mounts.reading(reads)]
        seen += [mounts.writing(out), *_kernels(image, user)]
        with lent([out, *folders], user) if as_root else contextlib.nullcontext():
            yield ContainerRuntime(stack, image, seen, user=user, copies=copies, shm_size=shm_size)


def _kernels(image: LocalImage, user: tuple[int, int]) -> list[mounts.Mount]:
    """The folder that an image's compiled kernels are kept in for a user, if it can be made.

    Two engines on an H200 started in 44 s with such caches and in 109 without, outside a container.
    """
    folder = paths.cache() / "kernels" / f"{image.id.removeprefix('sha256:')[:16]}-{user[0]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if user == NOBODYS:
            os.chown(folder, *user)
    except OSError:
        return []
    return [mounts.Mount(source=folder.resolve(), target=_KERNELS, writable=True)]


def readable(mount: mounts.Mount, user: tuple[int, int], copies: Path) -> mounts.Mount:
    """A mount that the user inside can read: of a file that root alone can, a copy.

    Raises:
        UsageProblem: a folder that root alone can read; it may be a model's, too large to copy.
    """
    if user != NOBODYS:
        return mount
    mode = mount.source.stat().st_mode
    if mount.source.is_dir():
        if mode & 0o005 == 0o005:
            return mount
        what = f"the folder {mount.source} is closed to the user that reads in the container"
        raise UsageProblem(what, do=f"chmod o+rx {mount.source}")
    if mode & 0o004:
        return mount
    copy = copies / secrets.token_hex(8)
    shutil.copyfile(mount.source, copy)
    os.chown(copy, *user)
    return mounts.Mount(source=copy, target=mount.target)

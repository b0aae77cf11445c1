"""The image of dsk around this process, if there is one, and how its container is started."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Files by which container engines make themselves known.
_MARKS: Final = (("/.dockerenv", "docker"), ("/run/.containerenv", "podman"))
# Volume that keeps the model and compiled kernels, and where an image looks for them.
CACHE: Final = "-v dsk-cache:/home/dsk/.cache"
# Another user's of the machine: a volume belongs to whoever wrote to it first.
OWN_CACHE: Final = '-v dsk-cache-"$(id -u)":/home/dsk/.cache'
# As the caller, who owns the folder that is written to.
_AS_CALLER: Final = '--user "$(id -u):$(id -g)" -v "$PWD":/work'
# What each command needs of the machine, beside a GPU.
_NEEDS: Final = {
    "run": (_AS_CALLER, CACHE),
    "bench": (_AS_CALLER, CACHE),
    "demo": (_AS_CALLER,),
    "serve": ("-p 127.0.0.1:8000:8000", CACHE),
    "model": (CACHE,),
}


def container_kind() -> str:
    """Return the kind of the container around this process; empty without one."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    for file, kind in _MARKS:
        if Path(file).exists():
            return kind
    return os.environ.get("container", "")  # noqa: SIM112 systemd and podman write it so


@dataclass(frozen=True, kw_only=True)
class OwnImage:
    """An image of dsk in which this process runs.

    Args:
        stack: the id of its stack.
        container: the kind of its container, see `container_kind`.
        has_gpu: True if the image is made for GPUs.
    """

    stack: str
    container: str
    has_gpu: bool

    @property
    def gpu_option(self) -> str:
        """Option that gives a container the machine's GPUs."""
        return "--device nvidia.com/gpu=all" if self.container == "podman" else "--gpus all"

    def start(self, arguments: str, *options: str) -> str:
        """Return the command that starts a container of this image.

        Args:
            arguments: dsk's, as a shell takes them.
            options: of the container, beside those that dsk's command always needs.
        """
        words = arguments.split()
        name = words[0] if words else ""
        # Of two volumes at one place the engine takes neither.
        needs = [
            need
            for need in _NEEDS.get(name, ())
            if need != CACHE or not any(OWN_CACHE in option for option in options)
        ]
        if self.has_gpu and name not in ("", "model"):
            needs.insert(0, self.gpu_option)
        program = "podman" if self.container == "podman" else "docker"
        # An earlier version of a stack has an @, which no name of an image may hold.
        image = f"dsk:{self.stack.replace('@', '-')}"
        parts = [program, "run --rm", *dict.fromkeys([*needs, *options]), image, arguments]
        return " ".join(parts).rstrip()

    def program(self, arguments: list[str]) -> str:
        """Return the command that starts another program than dsk in a container of this image."""
        name, *rest = arguments
        entry = f"-it --entrypoint {shlex.quote(name)}"
        return " ".join([self.start("", entry), shlex.join(rest)]).strip()

    def again(self, *options: str) -> str:
        """Return the command that starts a container for this process's own arguments.

        Args:
            options: as `start` takes them.
        """
        return self.start(shlex.join(sys.argv[1:]), *options)


def around() -> OwnImage | None:
    """Return the image of dsk around this process; None outside of one."""
    # Images of dsk set both; one of them alone is a user's own choice, in a container or not.
    stack, kind = os.environ.get("DSK_STACK", ""), container_kind()
    if not (stack and kind and os.environ.get("DSK_RUNTIME") == "in-place"):
        return None
    # Set in the images for GPUs alone, see templates/Dockerfile.j2.
    has_gpu = "NVIDIA_DISABLE_REQUIRE" in os.environ
    return OwnImage(stack=stack, container=kind, has_gpu=has_gpu)


def mount_of(folder: Path) -> tuple[str, ...]:
    """Return the option that shows a container a folder of the machine at an absolute path.

    Args:
        folder: as it is named inside; one below the working folder needs no option of its own.
    """
    if not folder.is_absolute() or folder.is_relative_to(Path.cwd()):
        return ()
    return (f"-v FOLDER:{shlex.quote(str(folder))}:ro",)


def advice(usual: str, *options: str, kubernetes: str = "") -> str:
    """Return what to do; in an image of dsk, the command that starts it again with options.

    Args:
        usual: what to do on a machine.
        options: of the container, beside those that dsk's command always needs.
        kubernetes: what a pod needs instead; as on a machine if empty.
    """
    image = around()
    if image is None:
        return usual
    if image.container == "kubernetes":
        return kubernetes or usual
    return image.again(*options)

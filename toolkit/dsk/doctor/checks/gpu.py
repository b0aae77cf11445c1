"""Checks of the NVIDIA driver and the GPUs, compared with the minimums of a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.doctor import driver_advice
from dsk.doctor.check import CheckContext, CheckGroup, CheckStatus, Verdict, as_driver, blocked_by
from dsk.doctor.fixes import kernel_log, restart
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile
from dsk.host.gpu_selection import numbers_of
from dsk.matrix.memory_plan import least_gib
from dsk.matrix.select import unmet_gpu_minimums
from dsk.models.reference import option_of

if TYPE_CHECKING:
    from dsk.host.facts import Card, Holder
    from dsk.matrix import Gpu

GROUP: Final = CheckGroup(position=20)
_NOT_NEEDED: Final = "not needed: stack {} runs on the CPU"
_OTHER_MACHINE: Final = "not checked: --gpu asks about a GPU of another machine"
_DEFAULT_SHARE: Final = 0.9  # vLLM's default of gpu_memory_utilization
_LIST_PROCESSES: Final = "nvidia-smi --query-compute-apps=pid,used_memory,process_name --format=csv"


@GROUP.check("driver", "NVIDIA driver", needs=("nvidia",), inspect=("nvidia-smi",))
def driver(context: CheckContext) -> Verdict:
    """Check that the driver answers through NVML."""
    nvidia, system = context.facts.nvidia, context.facts.system
    assert nvidia
    wsl = system is not None and system.wsl > 0
    if context.stack.gpu is None and not (nvidia.on_bus or nvidia.driver or wsl):
        return Verdict(status="skipped", summary=_NOT_NEEDED.format(context.stack.id))
    if context.gpu and not nvidia.driver:
        return Verdict(status="skipped", summary=_OTHER_MACHINE)
    if nvidia.driver:
        cuda = f", CUDA up to {as_driver(nvidia.cuda)}" if nvidia.cuda else ""
        return Verdict(status="ok", summary=as_driver(nvidia.driver) + cuda)
    # The CPU's stack runs without a driver, but a GPU that does not answer deserves a warning.
    status: CheckStatus = "error" if context.stack.gpu else "warning"
    if status == "error" and system and system.wsl == 1:
        return blocked_by("WSL or container")
    advice = driver_advice.of(nvidia, system, stack=context.stack.id)
    return Verdict(
        status=status, summary=advice.summary, details=advice.details, commands=advice.commands
    )


@GROUP.check("gpu", "GPU")
def card(context: CheckContext) -> Verdict:
    """Check compute capability and VRAM against the stack's kernels and minimums."""
    if context.stack.gpu is None:
        return Verdict(status="skipped", summary=_NOT_NEEDED.format(context.stack.id))
    if context.gpu:
        return _compared([context.gpu], context)
    nvidia, system = context.facts.nvidia, context.facts.system
    # The stack's kernels are compiled for one architecture: comparing GPUs would mean nothing.
    other_system = system is not None and system.machine != context.stack.arch
    if other_system or nvidia is None or not nvidia.driver:
        return blocked_by("Operating system" if other_system else "NVIDIA driver")
    if not nvidia.cards:
        return _no_card(context)
    if not usable(context):
        return _mig_without_instance(context)
    return _compared([_profile(card, context) for card in usable(context)], context)


def _profile(card: Card, context: CheckContext) -> Gpu:
    return as_profile(card, context.stack.arch)


def usable(context: CheckContext) -> list[Card]:
    """Return the GPUs that a program can run on.

    With MIG on and no instance made, a GPU cannot run anything.
    """
    nvidia = context.facts.nvidia
    return [card for card in nvidia.cards if card.mig is None or card.mig] if nvidia else []


def _no_card(context: CheckContext) -> Verdict:
    nvidia = context.facts.nvidia
    assert nvidia
    if nvidia.lost:
        fix = kernel_log(context.facts.system)
        details = (
            f"GPUs that the driver counts but cannot query: {len(nvidia.lost)}; {nvidia.lost[0]}",
            "a GPU that fell off the bus comes back with a restart; if not, check its power cable",
            *fix.details,
        )
        return Verdict(
            status="error", summary="none answers", details=details, commands=fix.commands
        )
    if nvidia.unjudged:
        details = (
            *nvidia.unjudged,
            "so it cannot be compared with the stack's minimums; a newer driver may tell more",
        )
        summary = "one answers, and is not known well enough"
        return Verdict(
            status="unknown", summary=summary, details=details, commands=("nvidia-smi -q",)
        )
    detail = "the driver answers but lists no GPU; a container sees one only with --gpus all"
    return Verdict(status="error", summary="none", details=(detail,), commands=("nvidia-smi -L",))


def _mig_without_instance(context: CheckContext) -> Verdict:
    nvidia, system = context.facts.nvidia, context.facts.system
    assert nvidia
    summary = f"{nvidia.cards[0].name}: MIG is on, without an instance"
    if system and system.container:
        details = (
            "MIG, which divides a GPU into instances, is on, and this container was given none:",
            "start it with one, such as --gpus '\"device=0:0\"'. On the host, this lists them:",
        )
        commands: tuple[str, ...] = ("nvidia-smi -L",)
    else:
        details = (
            "MIG, which divides a GPU into instances, is on, and no instance was created: nothing",
            "can run on it. This switches MIG off again; no program may use the GPU meanwhile.",
        )
        commands = tuple(f"sudo nvidia-smi -i {at} -mig 0" for at in numbers_of(nvidia))
    return Verdict(status="error", summary=summary, details=details, commands=commands)


def _compared(gpus: list[Gpu], context: CheckContext) -> Verdict:
    """Return `ok` if every GPU meets the stack's minimums, a warning if only some do."""
    summary = ", ".join(f"{gpu.name} ({gpu.sm}, {_size(gpu, context)})" for gpu in gpus)
    unmet = [(gpu, unmet_gpu_minimums(context.stack, gpu)) for gpu in gpus]
    unfit = tuple(f"{gpu.name}: {'; '.join(reasons)}" for gpu, reasons in unmet if reasons)
    if len(unfit) == len(gpus):
        others, commands = instead(context)
        details = (*unfit, *others)
        return Verdict(status="error", summary=summary, details=details, commands=commands)
    if unfit:
        unfit += tuple(
            f"{name}: stack {stack} runs on it: --stack {stack}{_of_that_name(name, context)}"
            for name, stack in context.by_card.items()
        )
        rest = "dsk run reads on the others alone, and dsk serve takes the first of them"
        unfit += (f"{rest}; other programs are kept to them so:",)
        numbers = _numbers_of_usable(context)
        pairs = zip(numbers, unmet, strict=True)
        fitting = ",".join(str(number) for number, (_, reasons) in pairs if not reasons)
        # By default CUDA counts the fastest card first; NVML, whose order we have, by PCI bus.
        commands = (f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={fitting}",)
        return Verdict(status="warning", summary=summary, details=unfit, commands=commands)
    return Verdict(status="ok", summary=summary)


def _numbers_of_usable(context: CheckContext) -> list[int]:
    """Return the number of each GPU of `usable`, as nvidia-smi has it."""
    nvidia = context.facts.nvidia
    assert nvidia
    able = usable(context)
    numbered = zip(numbers_of(nvidia), nvidia.cards, strict=True)
    return [number for number, card in numbered if any(card is one for one in able)]


def _of_that_name(name: str, context: CheckContext) -> str:
    """Return the option that chooses the GPUs of a name."""
    nvidia = context.facts.nvidia
    assert nvidia
    numbered = zip(numbers_of(nvidia), nvidia.cards, strict=True)
    numbers = [str(number) for number, card in numbered if _profile(card, context).name == name]
    return f" --gpus {','.join(numbers)}"


def _size(gpu: Gpu, context: CheckContext) -> str:
    nvidia = context.facts.nvidia
    unified = nvidia and any(card.unified and card.name in gpu.aliases for card in nvidia.cards)
    return f"{gpu.vram_gib} GiB, the machine's" if unified else f"{gpu.vram_gib} GiB"


def instead(context: CheckContext) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return details and commands about what runs the model here in place of the stack."""
    if not context.alternatives:
        return (), ("dsk matrix list",)
    where = "on a machine with it" if context.gpu else "on this machine"
    detail = f"stacks that run {where}: {', '.join(context.alternatives)}"
    command = f"dsk doctor --stack {context.alternatives[0]}{option_of(context.model.id)}"
    return (detail,), (command,)


def unfit(context: CheckContext) -> bool:
    """Return True if the stack needs a GPU, and there are GPUs, and it runs on none of them."""
    if context.stack.gpu is None:
        return False
    cards = usable(context)
    gpus = [context.gpu] if context.gpu else [_profile(card, context) for card in cards]
    return bool(gpus) and all(unmet_gpu_minimums(context.stack, gpu) for gpu in gpus)


@GROUP.check("health", "GPU health", needs=("nvidia",), after=("driver", "gpu"))
def health(context: CheckContext) -> Verdict:
    """Check for GPUs that no longer answer and for uncorrected memory errors."""
    nvidia = context.facts.nvidia
    assert nvidia
    if context.gpu:
        return Verdict(status="skipped", summary=_OTHER_MACHINE)
    faulty = [
        f"{card.name}: {card.ecc_errors} memory errors" for card in nvidia.cards if card.ecc_errors
    ]
    if not faulty and not nvidia.lost:
        with_ecc = any(card.ecc_errors is not None for card in nvidia.cards)
        return Verdict(status="ok", summary="no memory errors" if with_ecc else "all GPUs answer")
    fix = restart(context.facts.system)
    details = [f"a GPU does not answer: {reason}" for reason in nvidia.lost]
    if faulty:
        details.append("results computed since may be wrong; a restart retires the bad memory")
    details += fix.details
    return Verdict(
        status="warning",
        summary=", ".join(faulty) or f"{len(nvidia.lost)} of {nvidia.on_bus} GPUs lost",
        details=tuple(details),
        commands=("nvidia-smi -q -d ECC,ROW_REMAPPER", *fix.commands),
    )


@GROUP.check("free_memory", "Free VRAM", needs=("nvidia",), after=("driver", "gpu"))
def free_memory(context: CheckContext) -> Verdict:
    """Check that the share of VRAM that the engine reserves is free."""
    assert context.facts.nvidia
    if context.gpu:
        return Verdict(status="skipped", summary=_OTHER_MACHINE)
    cards = [card for card in usable(context) if _fits(card, context)]
    share = share_of(context)
    numbered = zip(numbers_of(context.facts.nvidia), context.facts.nvidia.cards, strict=True)
    rooms = [room for number, card in numbered if card in cards for room in _rooms(card, number)]
    if not rooms:
        return Verdict(status="skipped", summary="not checked: the driver does not tell it")
    summary = ", ".join(f"{room.free / GIB:.1f} GiB free" for room in rooms)
    short = [room for room in rooms if room.free < share * room.total]
    if not short:
        return Verdict(status="ok", summary=summary)
    if len(short) < len(rooms):
        return _some_are_held(short, share, summary)
    room = max(rooms, key=lambda room: room.free)
    freest, wanted = room.card, share * room.total / GIB
    details = [f"the engine reserves {share:.0%} of a GPU's memory, {wanted:.1f} GiB of this one"]
    details += [_held(holder) for holder in freest.holders] or [
        "programs that dsk cannot see hold it"
    ]
    details.append("end them, or let the engine reserve less (gpu_memory_utilization)")
    # Without room for the weights and one forward pass, no setting of the engine helps.
    too_full = room.free < least_gib(context.model) * GIB
    return Verdict(
        status="error" if too_full else "warning",
        summary=summary,
        details=tuple(details),
        commands=(_LIST_PROCESSES,),
    )


def _some_are_held(short: list[_Room], share: float, summary: str) -> Verdict:
    """Return the verdict where engines have room on some GPUs, and not on these."""
    details = []
    for room in short:
        wanted = share * room.total / GIB
        details.append(f"{room.label}: {room.free / GIB:.1f} GiB free of the {wanted:.1f} reserved")
        details += [_held(holder) for holder in room.card.holders]
    details.append("an engine that does not load there leaves the reading to the other GPUs")
    return Verdict(
        status="warning", summary=summary, details=tuple(details), commands=(_LIST_PROCESSES,)
    )


@dataclass(frozen=True, kw_only=True)
class _Room:
    """Memory that one engine can take, in bytes: a GPU's, or that of one of its instances."""

    label: str
    card: Card
    total: int
    free: int


def _rooms(card: Card, number: int) -> list[_Room]:
    label = f"GPU {number}"
    if card.mig:
        # Facts recorded before instances told their free memory have none.
        sizes = zip(card.mig, card.mig_free or card.mig, strict=True)
        return [
            _Room(label=f"{label}:{instance}", card=card, total=total, free=free)
            for instance, (total, free) in enumerate(sizes)
        ]
    if card.memory_free is None:
        return []
    return [_Room(label=label, card=card, total=card.memory_total, free=card.memory_free)]


def share_of(context: CheckContext) -> float:
    """Return the share of a GPU's memory that the engine reserves."""
    return float(context.stack.settings.get("gpu_memory_utilization", _DEFAULT_SHARE))


def _held(holder: Holder) -> str:
    amount = "some" if holder.memory is None else f"{holder.memory / GIB:.1f} GiB"
    return f"{holder.program} (process {holder.pid}) holds {amount}"


def _fits(card: Card, context: CheckContext) -> bool:
    return not unmet_gpu_minimums(context.stack, _profile(card, context))

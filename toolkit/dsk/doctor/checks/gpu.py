"""Checks of the NVIDIA driver and the GPUs, compared with the minimums of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor import driver_advice
from dsk.doctor.check import CheckContext, CheckGroup, CheckStatus, Verdict, as_driver, blocked_by
from dsk.doctor.fixes import as_root
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile
from dsk.matrix.memory_plan import least_gib
from dsk.matrix.select import unmet_gpu_minimums

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
    other_system = system is not None and system.machine != context.stack.host.arch
    if other_system or nvidia is None or not nvidia.driver:
        return blocked_by("Operating system" if other_system else "NVIDIA driver")
    if not nvidia.cards:
        return _no_card(context)
    if not usable(context):
        return _mig_without_instance(nvidia.cards)
    arch = context.stack.host.arch
    return _compared([as_profile(card, arch) for card in usable(context)], context)


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
        details = (
            f"GPUs that the driver counts but cannot query: {len(nvidia.lost)}; {nvidia.lost[0]}",
            "a GPU that fell off the bus comes back with a restart; if not, check its power cable",
        )
        commands = (as_root("dmesg | grep -iE 'NVRM|Xid' | tail", context.facts.system),)
        return Verdict(status="error", summary="none answers", details=details, commands=commands)
    detail = "the driver answers but lists no GPU; a container sees one only with --gpus all"
    return Verdict(status="error", summary="none", details=(detail,), commands=("nvidia-smi -L",))


def _mig_without_instance(cards: tuple[Card, ...]) -> Verdict:
    details = (
        "MIG, which divides a GPU into instances, is on, and no instance was created: nothing can",
        "run on it. The command switches MIG off again; no program may use the GPU meanwhile.",
    )
    summary = f"{cards[0].name}: MIG is on, without an instance"
    return Verdict(
        status="error", summary=summary, details=details, commands=("sudo nvidia-smi -i 0 -mig 0",)
    )


def _compared(gpus: list[Gpu], context: CheckContext) -> Verdict:
    """Return `ok` if every GPU meets the stack's minimums, a warning if only some do."""
    summary = ", ".join(f"{gpu.name} ({gpu.sm}, {gpu.vram_gib} GiB)" for gpu in gpus)
    unmet = [(gpu, unmet_gpu_minimums(context.stack, gpu)) for gpu in gpus]
    unfit = tuple(f"{gpu.name}: {'; '.join(reasons)}" for gpu, reasons in unmet if reasons)
    if len(unfit) == len(gpus):
        commands = ("dsk matrix list",)
        return Verdict(status="error", summary=summary, details=unfit, commands=commands)
    if unfit:
        fitting = ",".join(str(index) for index, (_, reasons) in enumerate(unmet) if not reasons)
        # By default CUDA counts the fastest card first; NVML, whose order we have, by PCI bus.
        commands = (f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={fitting}",)
        return Verdict(status="warning", summary=summary, details=unfit, commands=commands)
    return Verdict(status="ok", summary=summary)


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
    details = [f"a GPU does not answer: {reason}" for reason in nvidia.lost]
    if faulty:
        details.append("results computed since may be wrong; a restart retires the bad memory")
    return Verdict(
        status="warning",
        summary=", ".join(faulty) or f"{len(nvidia.lost)} of {nvidia.on_bus} GPUs lost",
        details=tuple(details),
        commands=("nvidia-smi -q -d ECC,ROW_REMAPPER", as_root("reboot", context.facts.system)),
    )


@GROUP.check("free_memory", "Free VRAM", needs=("nvidia",), after=("driver", "gpu"))
def free_memory(context: CheckContext) -> Verdict:
    """Check that the share of VRAM that the engine reserves is free."""
    if context.gpu:
        return Verdict(status="skipped", summary=_OTHER_MACHINE)
    cards = [card for card in usable(context) if _fits(card, context)]
    summary = ", ".join(f"{card.memory_free / GIB:.1f} GiB free" for card in cards)
    share = share_of(context)
    # NVML gives the free memory of a whole GPU; it says nothing about one MIG instance's.
    if any(card.mig or card.memory_free >= share * card.memory_total for card in cards):
        return Verdict(status="ok", summary=summary)
    freest = max(cards, key=lambda card: card.memory_free)
    wanted = share * freest.memory_total / GIB
    details = [f"the engine reserves {share:.0%} of a GPU's memory, {wanted:.1f} GiB of this one"]
    details += [_held(holder) for holder in freest.holders] or [
        "programs that dsk cannot see hold it"
    ]
    details.append("end them, or let the engine reserve less (gpu_memory_utilization)")
    # Without room for the weights and one forward pass, no setting of the engine helps.
    too_full = freest.memory_free < least_gib(context.model) * GIB
    return Verdict(
        status="error" if too_full else "warning",
        summary=summary,
        details=tuple(details),
        commands=(_LIST_PROCESSES,),
    )


def share_of(context: CheckContext) -> float:
    """Return the share of a GPU's memory that the engine reserves."""
    return float(context.stack.settings.get("gpu_memory_utilization", _DEFAULT_SHARE))


def _held(holder: Holder) -> str:
    amount = "some" if holder.memory is None else f"{holder.memory / GIB:.1f} GiB"
    return f"{holder.program} (process {holder.pid}) holds {amount}"


def _fits(card: Card, context: CheckContext) -> bool:
    return not unmet_gpu_minimums(context.stack, as_profile(card, context.stack.host.arch))

"""The links of the chain from the driver to the card, judged against a stack's floors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor import driver_advice
from dsk.doctor.check import CheckContext, CheckGroup, CheckStatus, Verdict, as_driver
from dsk.doctor.fixes import as_root
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile
from dsk.matrix.memory_plan import ACTIVATIONS, WEIGHTS
from dsk.matrix.select import unmet_gpu_minimums

if TYPE_CHECKING:
    from dsk.host.facts import Card, Holder
    from dsk.matrix import Gpu

GROUP: Final = CheckGroup(position=20)
NOT_NEEDED: Final = "not needed: stack {} runs on the CPU"
_USUAL_SHARE: Final = 0.9  # vLLM's own default of gpu_memory_utilization
_WHO: Final = "nvidia-smi --query-compute-apps=pid,used_memory,process_name --format=csv"


@GROUP.check("driver", "NVIDIA driver", needs=("nvidia",), inspect=("nvidia-smi",))
def driver(context: CheckContext) -> Verdict:
    """The kernel module is loaded and NVML, the driver's own interface, answers."""
    seen, system = context.facts.nvidia, context.facts.system
    assert seen
    under_windows = system is not None and system.wsl > 0
    if context.stack.gpu is None and not (seen.on_bus or seen.driver or under_windows):
        return Verdict(status="skipped", summary=NOT_NEEDED.format(context.stack.id))
    if context.gpu and not seen.driver:
        summary = f"not reached: ask where the {context.gpu.name} is"
        return Verdict(status="skipped", summary=summary)
    if seen.driver:
        cuda = f", CUDA up to {as_driver(seen.cuda)}" if seen.cuda else ""
        return Verdict(status="ok", summary=as_driver(seen.driver) + cuda)
    status: CheckStatus = "error" if context.stack.gpu else "warning"
    if status == "error" and system and system.wsl == 1:
        return Verdict(status="skipped", summary="not reached: WSL or container first")
    advice = driver_advice.of(seen, system, stack=context.stack.id)
    return Verdict(
        status=status, summary=advice.summary, details=advice.details, commands=advice.commands
    )


@GROUP.check("gpu", "GPU")
def card(context: CheckContext) -> Verdict:
    """Compute capability and VRAM, against the stack's kernels and floors."""
    if context.stack.gpu is None:
        return Verdict(status="skipped", summary=NOT_NEEDED.format(context.stack.id))
    if context.gpu:
        return _judged([context.gpu], context)
    seen, system = context.facts.nvidia, context.facts.system
    foreign = system is not None and system.machine != context.stack.host.arch
    if foreign or seen is None or not seen.driver:
        earlier = "Operating system" if foreign else "NVIDIA driver"
        return Verdict(status="skipped", summary=f"not reached: {earlier} first")
    if not seen.cards:
        return _no_card(context)
    if not usable(context):
        return _mig_without_instance(seen.cards)
    arch = context.stack.host.arch
    return _judged([as_profile(one, arch) for one in usable(context)], context)


def usable(context: CheckContext) -> list[Card]:
    """The cards that a program can run on: all but those cut into instances that nobody made."""
    seen = context.facts.nvidia
    return [one for one in seen.cards if one.mig is None or one.mig] if seen else []


def _no_card(context: CheckContext) -> Verdict:
    seen = context.facts.nvidia
    assert seen
    if seen.lost:
        details = (
            f"the driver counts {len(seen.lost)} and cannot say what they are: {seen.lost[0]}",
            "a card that fell off the bus comes back with a restart; if not, look at its power",
        )
        commands = (as_root("dmesg | grep -iE 'NVRM|Xid' | tail", context.facts.system),)
        return Verdict(status="error", summary="none answers", details=details, commands=commands)
    detail = "the driver answers, but knows no card; a container sees one only with --gpus all"
    return Verdict(status="error", summary="none", details=(detail,), commands=("nvidia-smi -L",))


def _mig_without_instance(cards: tuple[Card, ...]) -> Verdict:
    details = (
        "MIG, which cuts a card into smaller ones, is on, and no part has been made: nothing can",
        "run on it. The command switches MIG off again; it wants a card that nobody uses.",
    )
    summary = f"{cards[0].name}: MIG is on, without an instance"
    return Verdict(
        status="error", summary=summary, details=details, commands=("sudo nvidia-smi -i 0 -mig 0",)
    )


def _judged(cards: list[Gpu], context: CheckContext) -> Verdict:
    """Good if one card fits: the engine is told to use that one."""
    summary = ", ".join(f"{one.name} ({one.sm}, {one.vram_gib} GiB)" for one in cards)
    failing = [(one, unmet_gpu_minimums(context.stack, one)) for one in cards]
    unfit = tuple(f"{one.name}: {'; '.join(why)}" for one, why in failing if why)
    if len(unfit) == len(cards):
        commands = ("dsk matrix list",)
        return Verdict(status="error", summary=summary, details=unfit, commands=commands)
    if unfit:
        fitting = ",".join(str(index) for index, (_, why) in enumerate(failing) if not why)
        commands = (f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={fitting}",)
        return Verdict(status="warning", summary=summary, details=unfit, commands=commands)
    return Verdict(status="ok", summary=summary)


@GROUP.check("health", "GPU health", needs=("nvidia",), after=("driver", "gpu"))
def health(context: CheckContext) -> Verdict:
    """Cards that are lost, and memory that lies."""
    seen = context.facts.nvidia
    assert seen
    if context.gpu:
        return Verdict(status="skipped", summary="not reached: this is not that machine")
    wrong = [f"{one.name}: {one.ecc_errors} memory errors" for one in seen.cards if one.ecc_errors]
    if not wrong and not seen.lost:
        with_ecc = any(one.ecc_errors is not None for one in seen.cards)
        return Verdict(status="ok", summary="no memory errors" if with_ecc else "all cards answer")
    details = [f"a card does not answer: {why}" for why in seen.lost]
    if wrong:
        details.append("what was computed since may be wrong; a restart retires the bad memory")
    return Verdict(
        status="warning",
        summary=", ".join(wrong) or f"{len(seen.lost)} of {seen.on_bus} cards lost",
        details=tuple(details),
        commands=("nvidia-smi -q -d ECC,ROW_REMAPPER", as_root("reboot", context.facts.system)),
    )


@GROUP.check("free_memory", "Free VRAM", needs=("nvidia",), after=("driver", "gpu"))
def free_memory(context: CheckContext) -> Verdict:
    """VRAM that nobody else holds, against the share that the engine takes for itself."""
    if context.gpu:
        return Verdict(status="skipped", summary="not reached: this is not that machine")
    cards = [one for one in usable(context) if _fits(one, context)]
    summary = ", ".join(f"{one.memory_free / GIB:.1f} GiB free" for one in cards)
    share = share_of(context)
    if any(one.mig or one.memory_free >= share * one.memory_total for one in cards):
        return Verdict(status="ok", summary=summary)
    most = max(cards, key=lambda one: one.memory_free)
    wanted = share * most.memory_total / GIB
    details = [f"the engine takes {share:.0%} of a card for itself, {wanted:.1f} GiB of this one"]
    details += [_held(one) for one in most.holders] or ["programs that cannot be seen hold it"]
    details.append("end them, or tell the engine to take less (gpu_memory_utilization)")
    needs_all = most.memory_free < (WEIGHTS + ACTIVATIONS) * GIB
    return Verdict(
        status="error" if needs_all else "warning",
        summary=summary,
        details=tuple(details),
        commands=(_WHO,),
    )


def share_of(context: CheckContext) -> float:
    """The share of a card that the engine takes."""
    return float(context.stack.settings.get("gpu_memory_utilization", _USUAL_SHARE))


def _held(holder: Holder) -> str:
    much = "some" if holder.memory is None else f"{holder.memory / GIB:.1f} GiB"
    return f"{holder.program} (process {holder.pid}) holds {much}"


def _fits(card: Card, context: CheckContext) -> bool:
    return not unmet_gpu_minimums(context.stack, as_profile(card, context.stack.host.arch))

"""The links of the chain from the driver to the card, judged against a stack's floors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor import driver_advice
from dsk.doctor.check import Check, Question, Status, Verdict, as_driver
from dsk.doctor.fixes import as_root
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile
from dsk.matrix.memory_plan import ACTIVATIONS, WEIGHTS
from dsk.matrix.select import unmet_gpu_minimums

if TYPE_CHECKING:
    from dsk.host.facts import Card, Holder
    from dsk.matrix import Gpu

NOT_NEEDED: Final = "not needed: stack {} runs on the CPU"
_USUAL_SHARE: Final = 0.9  # vLLM's own default of gpu_memory_utilization
_WHO: Final = "nvidia-smi --query-compute-apps=pid,used_memory,process_name --format=csv"


def driver(question: Question) -> Verdict:
    """The kernel module is loaded and NVML, the driver's own interface, answers."""
    seen, system = question.facts.nvidia, question.facts.system
    assert seen
    under_windows = system is not None and system.wsl > 0
    if question.stack.gpu is None and not (seen.on_bus or seen.driver or under_windows):
        return Verdict(status="skipped", said=NOT_NEEDED.format(question.stack.id))
    if question.gpu and not seen.driver:
        said = f"not reached: ask where the {question.gpu.name} is"
        return Verdict(status="skipped", said=said)
    if seen.driver:
        cuda = f", CUDA up to {as_driver(seen.cuda)}" if seen.cuda else ""
        return Verdict(status="ok", said=as_driver(seen.driver) + cuda)
    status: Status = "error" if question.stack.gpu else "warning"
    if status == "error" and system and system.wsl == 1:
        return Verdict(status="skipped", said="not reached: WSL or container first")
    advice = driver_advice.of(seen, system, stack=question.stack.id)
    return Verdict(
        status=status, said=advice.said, details=advice.details, commands=advice.commands
    )


def card(question: Question) -> Verdict:
    """Compute capability and VRAM, against the stack's kernels and floors."""
    if question.stack.gpu is None:
        return Verdict(status="skipped", said=NOT_NEEDED.format(question.stack.id))
    if question.gpu:
        return _judged([question.gpu], question)
    seen, system = question.facts.nvidia, question.facts.system
    foreign = system is not None and system.machine != question.stack.host.arch
    if foreign or seen is None or not seen.driver:
        earlier = "Operating system" if foreign else "NVIDIA driver"
        return Verdict(status="skipped", said=f"not reached: {earlier} first")
    if not seen.cards:
        return _no_card(question)
    if not usable(question):
        return _mig_without_instance(seen.cards)
    arch = question.stack.host.arch
    return _judged([as_profile(one, arch) for one in usable(question)], question)


def usable(question: Question) -> list[Card]:
    """The cards that a program can run on: all but those cut into instances that nobody made."""
    seen = question.facts.nvidia
    return [one for one in seen.cards if one.mig is None or one.mig] if seen else []


def _no_card(question: Question) -> Verdict:
    seen = question.facts.nvidia
    assert seen
    if seen.lost:
        details = (
            f"the driver counts {len(seen.lost)} and cannot say what they are: {seen.lost[0]}",
            "a card that fell off the bus comes back with a restart; if not, look at its power",
        )
        commands = (as_root("dmesg | grep -iE 'NVRM|Xid' | tail", question.facts.system),)
        return Verdict(status="error", said="none answers", details=details, commands=commands)
    detail = "the driver answers, but knows no card; a container sees one only with --gpus all"
    return Verdict(status="error", said="none", details=(detail,), commands=("nvidia-smi -L",))


def _mig_without_instance(cards: tuple[Card, ...]) -> Verdict:
    details = (
        "MIG, which cuts a card into smaller ones, is on, and no part has been made: nothing can",
        "run on it. The command switches MIG off again; it wants a card that nobody uses.",
    )
    said = f"{cards[0].name}: MIG is on, without an instance"
    return Verdict(
        status="error", said=said, details=details, commands=("sudo nvidia-smi -i 0 -mig 0",)
    )


def _judged(cards: list[Gpu], question: Question) -> Verdict:
    """Good if one card fits: the engine is told to use that one."""
    said = ", ".join(f"{one.name} ({one.sm}, {one.vram_gib} GiB)" for one in cards)
    failing = [(one, unmet_gpu_minimums(question.stack, one)) for one in cards]
    unfit = tuple(f"{one.name}: {'; '.join(why)}" for one, why in failing if why)
    if len(unfit) == len(cards):
        commands = ("dsk matrix list",)
        return Verdict(status="error", said=said, details=unfit, commands=commands)
    if unfit:
        fitting = ",".join(str(index) for index, (_, why) in enumerate(failing) if not why)
        commands = (f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={fitting}",)
        return Verdict(status="warning", said=said, details=unfit, commands=commands)
    return Verdict(status="ok", said=said)


def health(question: Question) -> Verdict:
    """Cards that are lost, and memory that lies."""
    seen = question.facts.nvidia
    assert seen
    if question.gpu:
        return Verdict(status="skipped", said="not reached: this is not that machine")
    wrong = [f"{one.name}: {one.ecc_errors} memory errors" for one in seen.cards if one.ecc_errors]
    if not wrong and not seen.lost:
        with_ecc = any(one.ecc_errors is not None for one in seen.cards)
        return Verdict(status="ok", said="no memory errors" if with_ecc else "all cards answer")
    details = [f"a card does not answer: {why}" for why in seen.lost]
    if wrong:
        details.append("what was computed since may be wrong; a restart retires the bad memory")
    return Verdict(
        status="warning",
        said=", ".join(wrong) or f"{len(seen.lost)} of {seen.on_bus} cards lost",
        details=tuple(details),
        commands=("nvidia-smi -q -d ECC,ROW_REMAPPER", as_root("reboot", question.facts.system)),
    )


def free_memory(question: Question) -> Verdict:
    """VRAM that nobody else holds, against the share that the engine takes for itself."""
    if question.gpu:
        return Verdict(status="skipped", said="not reached: this is not that machine")
    cards = [one for one in usable(question) if _fits(one, question)]
    said = ", ".join(f"{one.memory_free / GIB:.1f} GiB free" for one in cards)
    share = share_of(question)
    if any(one.mig or one.memory_free >= share * one.memory_total for one in cards):
        return Verdict(status="ok", said=said)
    most = max(cards, key=lambda one: one.memory_free)
    wanted = share * most.memory_total / GIB
    details = [f"the engine takes {share:.0%} of a card for itself, {wanted:.1f} GiB of this one"]
    details += [_held(one) for one in most.holders] or ["programs that cannot be seen hold it"]
    details.append("end them, or tell the engine to take less (gpu_memory_utilization)")
    needs_all = most.memory_free < (WEIGHTS + ACTIVATIONS) * GIB
    return Verdict(
        status="error" if needs_all else "warning",
        said=said,
        details=tuple(details),
        commands=(_WHO,),
    )


def share_of(question: Question) -> float:
    """The share of a card that the engine takes."""
    return float(question.stack.settings.get("gpu_memory_utilization", _USUAL_SHARE))


def _held(holder: Holder) -> str:
    much = "some" if holder.memory is None else f"{holder.memory / GIB:.1f} GiB"
    return f"{holder.program} (process {holder.pid}) holds {much}"


def _fits(card: Card, question: Question) -> bool:
    return not unmet_gpu_minimums(question.stack, as_profile(card, question.stack.host.arch))


CHECKS: Final = (
    Check(
        id="driver",
        title="NVIDIA driver",
        judge=driver,
        needs=("nvidia",),
        look=("nvidia-smi",),
    ),
    Check(id="gpu", title="GPU", judge=card),
    Check(
        id="health", title="GPU health", judge=health, needs=("nvidia",), after=("driver", "gpu")
    ),
    Check(
        id="free_memory",
        title="Free VRAM",
        judge=free_memory,
        needs=("nvidia",),
        after=("driver", "gpu"),
    ),
)

"""Disk, memory, limits, the clock, and what they leave: pages at once."""

from __future__ import annotations

import datetime as dt
from typing import Final

from dsk.doctor.check import Check, Question, Verdict
from dsk.doctor.gpu_checks import share_of, usable
from dsk.doctor.package_checks import current
from dsk.errors import UsageProblem
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile, memory_of
from dsk.matrix import memory_plan
from dsk.matrix.select import unmet_gpu_minimums
from dsk.models.deepseek_ocr.resolutions import MODES

_NEARLY: Final = 0.92  # a size that was asked for in GB, found in GiB
_ENVIRONMENT: Final = 8  # GiB; the cpu and cpu-v0 environments measured 6.0 GiB each
_OUTPUTS: Final = 1  # GiB, once the environment is there
_SHARED: Final = 1  # GiB; pages go between processes there: 6 MB of pixels each, and NCCL's buffers
_FILES: Final = 1024
_CENTURY: Final = dt.timedelta(days=3653)  # certificates of today have all ended in ten years
_ANSWER: Final = 1024  # tokens of a full page of text; a page's mean is about 800
_TAIL: Final = 16  # tokens of the prompt beside the image


def disk(question: Question) -> Verdict:
    """Room for the environment, or for outputs once it is there."""
    seen = question.facts.disk
    assert seen
    needed = _OUTPUTS if current(question) else _ENVIRONMENT
    said = f"{seen.free / GIB:.0f} GiB free for environments"
    if seen.free < needed * GIB:
        detail = f"{needed} GiB are needed; DSK_CACHE names a folder on another disk"
        return Verdict(status="error", said=said, details=(detail,), commands=("dsk env list",))
    if not seen.writable:
        details = ("dsk's cache folder cannot be written to: name another one",)
        commands = ('export DSK_CACHE="$HOME/dsk-cache"',)
        return Verdict(
            status="error", said=f"{said}, read-only", details=details, commands=commands
        )
    return Verdict(status="ok", said=said)


def shared_memory(question: Question) -> Verdict:
    """``/dev/shm``, of which Docker gives a container 64 MB."""
    seen, system = question.facts.memory, question.facts.system
    assert seen
    if seen.shared is None:
        return Verdict(status="skipped", said="there is no /dev/shm here")
    said = f"{seen.shared / GIB:.1f} GiB in /dev/shm"
    if seen.shared >= _SHARED * GIB * _NEARLY:
        return Verdict(status="ok", said=said)
    details: tuple[str, ...] = (
        "the engine's processes hand pages to each other there; too little is a bus error",
    )
    commands = ("mount -o remount,size=8G /dev/shm",)
    if system and system.container:
        details += ("a container gets it as it is started: start it anew with --shm-size=8g",)
        commands = ("df -h /dev/shm",)
    return Verdict(status="warning", said=said, details=details, commands=commands)


def memory(question: Question) -> Verdict:
    """RAM against what the stack was proved with, less what a container may not have."""
    seen, floor = question.facts.memory, question.stack.host.ram_gib
    assert seen
    total = min(seen.total, seen.limit or seen.total)
    said = f"{total / GIB:.0f} GiB, {min(seen.available, total) / GIB:.0f} GiB available"
    if seen.limit:
        said += f" (limited; the machine has {seen.total / GIB:.0f})"
    if question.stack.host.holds_in(total):
        return Verdict(status="ok", said=said)
    detail = f"stack {question.stack.id} is proved with {floor} GiB; with less it may be killed"
    return Verdict(status="warning", said=said, details=(detail,), commands=("free -g",))


def open_files(question: Question) -> Verdict:
    """How many files a program may have open: an engine has hundreds."""
    seen = question.facts.process
    assert seen
    said = f"up to {seen.open_files}"
    if seen.open_files >= _FILES:
        return Verdict(status="ok", said=said)
    details = ("an engine opens hundreds, and a run of many documents more",)
    commands = (f"sudo prlimit --pid $$ --nofile={16 * _FILES}:{16 * _FILES}",)
    return Verdict(status="warning", said=said, details=details, commands=commands)


def clock(question: Question) -> Verdict:
    """A clock that is years off, with which no certificate of any server is valid."""
    seen = question.facts.process
    assert seen
    now = dt.datetime.fromtimestamp(seen.now, dt.UTC)
    said = f"{now:%Y-%m-%d}"
    made = dt.datetime.combine(question.stack.resolve_before, dt.time(), dt.UTC)
    if made - dt.timedelta(days=1) <= now <= made + _CENTURY:
        return Verdict(status="ok", said=said)
    details = (
        f"the stack's packages are of {made:%Y-%m-%d}: it cannot be that day. Downloads fail with",
        "'certificate is not yet valid' or 'has expired' until the clock is right",
    )
    return Verdict(
        status="error", said=said, details=details, commands=("sudo timedatectl set-ntp true",)
    )


def plan(question: Question) -> Verdict:
    """How many pages the card, or the RAM, holds at once, in each mode."""
    settings = question.stack.settings
    longest = int(settings.get("max_model_len", 8192))
    room = _cpu_cache(question) if question.stack.gpu is None else _gpu_cache(question)
    if isinstance(room, Verdict):
        return room
    token = question.model.kv_cache_bytes_per_token
    at_most = int(settings.get("max_num_seqs", 2**31))
    pages = {
        mode.name: min(at_most, int(room / (token * (mode.max_tokens + _TAIL + _ANSWER))))
        for mode in MODES.values()
    }
    worst = min(at_most, int(room / (token * longest)))
    said = f"{room / GIB:.1f} GiB for pages (KV cache), at once: {_counts(pages)}"
    if worst >= 1:
        return Verdict(status="ok", said=f"{said}; {worst} of the longest ({longest} tokens)")
    detail = f"a page of {longest} tokens does not fit: allow fewer (max_model_len)"
    return Verdict(status="error", said=said, details=(detail,), commands=_PLAN)


def _counts(pages: dict[str, int]) -> str:
    if len(set(pages.values())) == 1:
        return f"{min(pages.values())} in every mode"
    return ", ".join(f"{name} {count}" for name, count in pages.items())


_PLAN: Final = ("dsk plan --help",)


def _cpu_cache(question: Question) -> float:
    return float(question.stack.environment.get("VLLM_CPU_KVCACHE_SPACE", 4)) * GIB


def _gpu_cache(question: Question) -> float | Verdict:
    """Bytes for the KV cache on the largest card that is asked about."""
    arch = question.stack.host.arch
    found = max(usable(question), key=memory_of, default=None)
    gpu = question.gpu or (as_profile(found, arch) if found else None)
    if gpu is None or unmet_gpu_minimums(question.stack, gpu):
        return Verdict(status="skipped", said="not reached: GPU first")
    kv = memory_plan.of_model(question.model)
    try:
        made = memory_plan.plan(gpu, kv, utilization=share_of(question))
    except UsageProblem as problem:
        return Verdict(status="error", said="nothing fits", details=(str(problem),), commands=_PLAN)
    return made.kv_cache * GIB


CHECKS: Final = (
    Check(id="disk", title="Disk", judge=disk, needs=("disk",)),
    Check(id="shared_memory", title="Shared memory", judge=shared_memory, needs=("memory",)),
    Check(id="memory", title="Memory", judge=memory, needs=("memory",)),
    Check(id="open_files", title="Open files", judge=open_files, needs=("process",)),
    Check(id="clock", title="Clock", judge=clock, needs=("process",)),
    Check(id="plan", title="Plan", judge=plan),
)

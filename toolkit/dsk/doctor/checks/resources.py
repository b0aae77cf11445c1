"""Disk, memory, limits, the clock, and what they leave: pages at once."""

from __future__ import annotations

import datetime as dt
from typing import Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict
from dsk.doctor.checks.gpu import share_of, usable
from dsk.doctor.checks.packages import current
from dsk.errors import UsageProblem
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile, memory_of
from dsk.matrix import memory_plan
from dsk.matrix.select import unmet_gpu_minimums
from dsk.models.deepseek_ocr.resolutions import MODES

GROUP: Final = CheckGroup(position=70)
_NEARLY: Final = 0.92  # a size that was asked for in GB, found in GiB
_ENVIRONMENT: Final = 8  # GiB; the cpu and cpu-v0 environments measured 6.0 GiB each
_OUTPUTS: Final = 1  # GiB, once the environment is there
_SHARED: Final = 1  # GiB; pages go between processes there: 6 MB of pixels each, and NCCL's buffers
_FILES: Final = 1024
_CENTURY: Final = dt.timedelta(days=3653)  # certificates of today have all ended in ten years
_ANSWER: Final = 1024  # tokens of a full page of text; a page's mean is about 800
_TAIL: Final = 16  # tokens of the prompt beside the image


@GROUP.check("disk", "Disk", needs=("disk",))
def disk(context: CheckContext) -> Verdict:
    """Room for the environment, or for outputs once it is there."""
    seen = context.facts.disk
    assert seen
    needed = _OUTPUTS if current(context) else _ENVIRONMENT
    summary = f"{seen.free / GIB:.0f} GiB free for environments"
    if seen.free < needed * GIB:
        detail = f"{needed} GiB are needed; DSK_CACHE names a folder on another disk"
        return Verdict(
            status="error", summary=summary, details=(detail,), commands=("dsk env list",)
        )
    if not seen.writable:
        details = ("dsk's cache folder cannot be written to: name another one",)
        commands = ('export DSK_CACHE="$HOME/dsk-cache"',)
        return Verdict(
            status="error", summary=f"{summary}, read-only", details=details, commands=commands
        )
    return Verdict(status="ok", summary=summary)


@GROUP.check("shared_memory", "Shared memory", needs=("memory",))
def shared_memory(context: CheckContext) -> Verdict:
    """``/dev/shm``, of which Docker gives a container 64 MB."""
    seen, system = context.facts.memory, context.facts.system
    assert seen
    if seen.shared is None:
        return Verdict(status="skipped", summary="there is no /dev/shm here")
    summary = f"{seen.shared / GIB:.1f} GiB in /dev/shm"
    if seen.shared >= _SHARED * GIB * _NEARLY:
        return Verdict(status="ok", summary=summary)
    details: tuple[str, ...] = (
        "the engine's processes hand pages to each other there; too little is a bus error",
    )
    commands = ("mount -o remount,size=8G /dev/shm",)
    if system and system.container:
        details += ("a container gets it as it is started: start it anew with --shm-size=8g",)
        commands = ("df -h /dev/shm",)
    return Verdict(status="warning", summary=summary, details=details, commands=commands)


@GROUP.check("memory", "Memory", needs=("memory",))
def memory(context: CheckContext) -> Verdict:
    """RAM against what the stack was proved with, less what a container may not have."""
    seen, floor = context.facts.memory, context.stack.host.ram_gib
    assert seen
    total = min(seen.total, seen.limit or seen.total)
    summary = f"{total / GIB:.0f} GiB, {min(seen.available, total) / GIB:.0f} GiB available"
    if seen.limit:
        summary += f" (limited; the machine has {seen.total / GIB:.0f})"
    if context.stack.host.holds_in(total):
        return Verdict(status="ok", summary=summary)
    detail = f"stack {context.stack.id} is proved with {floor} GiB; with less it may be killed"
    return Verdict(status="warning", summary=summary, details=(detail,), commands=("free -g",))


@GROUP.check("open_files", "Open files", needs=("process",))
def open_files(context: CheckContext) -> Verdict:
    """How many files a program may have open: an engine has hundreds."""
    seen = context.facts.process
    assert seen
    summary = f"up to {seen.open_files}"
    if seen.open_files >= _FILES:
        return Verdict(status="ok", summary=summary)
    details = ("an engine opens hundreds, and a run of many documents more",)
    commands = (f"sudo prlimit --pid $$ --nofile={16 * _FILES}:{16 * _FILES}",)
    return Verdict(status="warning", summary=summary, details=details, commands=commands)


@GROUP.check("clock", "Clock", needs=("process",))
def clock(context: CheckContext) -> Verdict:
    """A clock that is years off, with which no certificate of any server is valid."""
    seen = context.facts.process
    assert seen
    now = dt.datetime.fromtimestamp(seen.now, dt.UTC)
    summary = f"{now:%Y-%m-%d}"
    made = dt.datetime.combine(context.stack.resolve_before, dt.time(), dt.UTC)
    if made - dt.timedelta(days=1) <= now <= made + _CENTURY:
        return Verdict(status="ok", summary=summary)
    details = (
        f"the stack's packages are of {made:%Y-%m-%d}: it cannot be that day. Downloads fail with",
        "'certificate is not yet valid' or 'has expired' until the clock is right",
    )
    return Verdict(
        status="error",
        summary=summary,
        details=details,
        commands=("sudo timedatectl set-ntp true",),
    )


@GROUP.check("plan", "Plan")
def plan(context: CheckContext) -> Verdict:
    """How many pages the card, or the RAM, holds at once, in each mode."""
    settings = context.stack.settings
    longest = int(settings.get("max_model_len", 8192))
    room = _cpu_cache(context) if context.stack.gpu is None else _gpu_cache(context)
    if isinstance(room, Verdict):
        return room
    token = context.model.kv_cache_bytes_per_token
    at_most = int(settings.get("max_num_seqs", 2**31))
    pages = {
        mode.name: min(at_most, int(room / (token * (mode.max_tokens + _TAIL + _ANSWER))))
        for mode in MODES.values()
    }
    worst = min(at_most, int(room / (token * longest)))
    summary = f"{room / GIB:.1f} GiB for pages (KV cache), at once: {_counts(pages)}"
    if worst >= 1:
        return Verdict(status="ok", summary=f"{summary}; {worst} of the longest ({longest} tokens)")
    detail = f"a page of {longest} tokens does not fit: allow fewer (max_model_len)"
    return Verdict(status="error", summary=summary, details=(detail,), commands=_PLAN)


def _counts(pages: dict[str, int]) -> str:
    if len(set(pages.values())) == 1:
        return f"{min(pages.values())} in every mode"
    return ", ".join(f"{name} {count}" for name, count in pages.items())


_PLAN: Final = ("dsk plan --help",)


def _cpu_cache(context: CheckContext) -> float:
    return float(context.stack.environment.get("VLLM_CPU_KVCACHE_SPACE", 4)) * GIB


def _gpu_cache(context: CheckContext) -> float | Verdict:
    """Bytes for the KV cache on the largest card that is asked about."""
    arch = context.stack.host.arch
    found = max(usable(context), key=memory_of, default=None)
    gpu = context.gpu or (as_profile(found, arch) if found else None)
    if gpu is None or unmet_gpu_minimums(context.stack, gpu):
        return Verdict(status="skipped", summary="not reached: GPU first")
    kv = memory_plan.of_model(context.model)
    try:
        made = memory_plan.plan(gpu, kv, utilization=share_of(context))
    except UsageProblem as problem:
        return Verdict(
            status="error", summary="nothing fits", details=(str(problem),), commands=_PLAN
        )
    return made.kv_cache * GIB

"""Checks of disk, memory, limits and clock, and of the number of pages that fit at once."""

from __future__ import annotations

import datetime as dt
from typing import Final

from dsk import models
from dsk.doctor.check import CheckContext, CheckGroup, Verdict, blocked_by
from dsk.doctor.checks.gpu import share_of, usable
from dsk.doctor.checks.packages import current, in_image
from dsk.doctor.fixes import as_root, set_clock
from dsk.errors import UsageProblem
from dsk.host.facts import GIB
from dsk.host.gpu_profile import as_profile, memory_of
from dsk.matrix import memory_plan
from dsk.matrix.select import unmet_gpu_minimums
from dsk.vllm_plugin.stack_support import obstacle

GROUP: Final = CheckGroup(position=70)
_ROUNDING: Final = 0.92  # a size that was given in GB is read back in GiB, 7 % less
_ENVIRONMENT: Final = 8  # GiB; the cpu and cpu-v0 environments measured 6.0 GiB each
_OUTPUTS: Final = 1  # GiB, once the environment exists
# GiB: processes exchange pages through it, 6 MB of pixels each, and NCCL its buffers.
_SHARED: Final = 1
_OPEN_FILES: Final = 1024
_CERTIFICATES: Final = dt.timedelta(days=3653)  # in ten years all certificates of today have ended
_ANSWER: Final = 1024  # tokens of a full page of text; the mean of real pages is about 800
_PROMPT: Final = 16  # tokens of the prompt beside the image
_PLAN: Final = ("dsk plan --help",)


@GROUP.check("disk", "Disk", needs=("disk",))
def disk(context: CheckContext) -> Verdict:
    """Check for free space: for the environment, or for outputs once that exists."""
    disk = context.facts.disk
    assert disk
    needed = _OUTPUTS if current(context) or in_image(context) else _ENVIRONMENT
    summary = f"{disk.free / GIB:.0f} GiB free for environments"
    if disk.free < needed * GIB:
        detail = f"{needed} GiB are needed; DSK_CACHE can name a folder on another disk"
        return Verdict(
            status="error", summary=summary, details=(detail,), commands=("dsk env list",)
        )
    if not disk.writable:
        detail = "dsk's cache folder is not writable: choose another one"
        return Verdict(
            status="error",
            summary=f"{summary}, read-only",
            details=(detail,),
            commands=('export DSK_CACHE="$HOME/dsk-cache"',),
        )
    return Verdict(status="ok", summary=summary)


@GROUP.check("shared_memory", "Shared memory", needs=("memory",))
def shared_memory(context: CheckContext) -> Verdict:
    """Check the size of ``/dev/shm``."""
    memory, system = context.facts.memory, context.facts.system
    assert memory
    if memory.shared is None:
        return Verdict(status="skipped", summary="there is no /dev/shm here")
    summary = f"{memory.shared / GIB:.1f} GiB in /dev/shm"
    if memory.shared >= _SHARED * GIB * _ROUNDING:
        return Verdict(status="ok", summary=summary)
    details: tuple[str, ...] = (
        "the engine's processes exchange pages through it; if it is full, they die of a bus error",
    )
    commands = (as_root("mount -o remount,size=8G /dev/shm", system),)
    if system and system.container == "kubernetes":
        details += ("a pod gets more from a volume emptyDir: {medium: Memory} at /dev/shm",)
        commands = ("df -h /dev/shm",)
    elif system and system.container:
        # Docker gives a container 64 MB of it, and only at its start.
        details += ("in a container its size is set at the start: use docker run --shm-size=8g",)
        commands = ("df -h /dev/shm",)
    return Verdict(status="warning", summary=summary, details=details, commands=commands)


@GROUP.check("memory", "Memory", needs=("memory",))
def memory(context: CheckContext) -> Verdict:
    """Check RAM, less what a container may not use, against the stack's minimum."""
    memory, minimum = context.facts.memory, context.stack.host.ram_gib
    assert memory
    total = min(memory.total, memory.limit or memory.total)
    summary = f"{total / GIB:.0f} GiB, {min(memory.available, total) / GIB:.0f} GiB available"
    if memory.limit:
        summary += f" (limited; the machine has {memory.total / GIB:.0f})"
    if context.stack.host.holds_in(total):
        return Verdict(status="ok", summary=summary)
    detail = (
        f"stack {context.stack.id} was tested with {minimum} GiB; with less the kernel may kill it"
    )
    return Verdict(status="warning", summary=summary, details=(detail,), commands=("free -g",))


@GROUP.check("open_files", "Open files", needs=("process",))
def open_files(context: CheckContext) -> Verdict:
    """Check how many files a program may have open."""
    process = context.facts.process
    assert process
    summary = f"up to {process.open_files}"
    if process.open_files >= _OPEN_FILES:
        return Verdict(status="ok", summary=summary)
    detail = "an engine opens hundreds, and a run of many documents more"
    limit, system = 16 * _OPEN_FILES, context.facts.system
    commands = (as_root(f"prlimit --pid $$ --nofile={limit}:{limit}", system),)
    if system and system.container:
        detail += f"; start the container with --ulimit nofile={limit}"
        commands = ("ulimit -Hn",)
    return Verdict(status="warning", summary=summary, details=(detail,), commands=commands)


@GROUP.check("clock", "Clock", needs=("process",))
def clock(context: CheckContext) -> Verdict:
    """Check for a clock that is years off, with which no server's certificate is valid."""
    process = context.facts.process
    assert process
    now = dt.datetime.fromtimestamp(process.now, dt.UTC)
    summary = f"{now:%Y-%m-%d}"
    resolved = dt.datetime.combine(context.stack.lock_date, dt.time(), dt.UTC)
    # The stack was locked on that day: a clock before it is wrong.
    if resolved - dt.timedelta(days=1) <= now <= resolved + _CERTIFICATES:
        return Verdict(status="ok", summary=summary)
    details = (
        f"that cannot be today: the stack's packages are of {resolved:%Y-%m-%d}. Downloads fail",
        "with 'certificate is not yet valid' or 'has expired' until the clock is right",
    )
    fix = set_clock(context.facts.system)
    return Verdict(
        status="error",
        summary=summary,
        details=(*details, *fix.details),
        commands=fix.commands,
    )


@GROUP.check("plan", "Plan")
def plan(context: CheckContext) -> Verdict:
    """Calculate how many pages of each mode fit into the KV cache at once; one must."""
    if obstacle(context.stack, context.model):
        return blocked_by("Stack environment")
    settings = context.stack.settings
    longest = int(settings.get("max_model_len", context.model.language.max_positions))
    cache = _cpu_cache(context) if context.stack.gpu is None else _gpu_cache(context)
    if isinstance(cache, Verdict):
        return cache
    kv = memory_plan.of_model(context.model)
    token = kv.bytes_per_token
    limit = int(settings.get("max_num_seqs", 2**31))
    pages = {
        mode.name: min(limit, int(cache / (token * kv.kept(mode.max_tokens + _PROMPT, _ANSWER))))
        for mode in models.profile(context.model.id).resolutions.values()
    }
    worst = min(limit, int(cache / (token * longest)))
    summary = f"{cache / GIB:.1f} GiB for pages (KV cache), at once: {_counts(pages)}"
    if worst >= 1:
        return Verdict(status="ok", summary=f"{summary}; {worst} of the longest ({longest} tokens)")
    detail = f"a page of {longest} tokens does not fit: allow fewer (max_model_len)"
    return Verdict(status="error", summary=summary, details=(detail,), commands=_PLAN)


def _counts(pages: dict[str, int]) -> str:
    if len(set(pages.values())) == 1:
        return f"{min(pages.values())} in every mode"
    return ", ".join(f"{name} {count}" for name, count in pages.items())


def _cpu_cache(context: CheckContext) -> float:
    return float(context.stack.environment.get("VLLM_CPU_KVCACHE_SPACE", 4)) * GIB


def _gpu_cache(context: CheckContext) -> float | Verdict:
    """Return the bytes for the KV cache on the largest GPU, or why there are none."""
    arch = context.stack.arch
    largest = max(usable(context), key=memory_of, default=None)
    gpu = context.gpu or (as_profile(largest, arch) if largest else None)
    if gpu is None or unmet_gpu_minimums(context.stack, gpu):
        return blocked_by("GPU")
    try:
        memory = memory_plan.plan(gpu, context.model, utilization=share_of(context))
    except UsageProblem as problem:
        return Verdict(
            status="error", summary="nothing fits", details=(str(problem),), commands=_PLAN
        )
    return memory.kv_cache * GIB

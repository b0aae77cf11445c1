"""Probes of the operating system, its C libraries, memory, disk, process limits and confinement."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import shutil
import time
from pathlib import Path
from typing import Final

from dsk import own_image, paths
from dsk.confinement import landlock, seccomp
from dsk.host.facts import Confinement, Disk, Libraries, Memory, Process, Release, System

KIB: Final = 2**10
_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def system() -> System:
    """Return the operating system."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    image = own_image.around()
    return System(
        kind=platform.system(),
        machine=platform.machine(),
        distribution=release.get("ID", ""),
        codename=release.get("VERSION_CODENAME", ""),
        name=release.get("PRETTY_NAME", platform.system()),
        root=os.geteuid() == 0,
        wsl=_wsl(platform.release()),
        container=own_image.container_kind(),
        image=image.stack if image else "",
    )


def _wsl(kernel: str) -> int:
    """Return the version of WSL that a kernel's release is of; 0 without WSL."""
    if "microsoft" not in kernel.lower():
        return 0
    # WSL 2: 5.15.153.1-microsoft-standard-WSL2. WSL 1: 4.4.0-19041-Microsoft.
    return 2 if "wsl2" in kernel.lower() else 1


def libraries() -> Libraries:
    """Return the releases of glibc and of the libstdc++ that the loader finds."""
    glibc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    return Libraries(glibc=release_in(glibc), glibcxx=_glibcxx())


def _glibcxx() -> Release:
    try:
        ctypes.CDLL("libstdc++.so.6")
    except OSError:
        return ()
    mapped = Path("/proc/self/maps").read_text("utf-8").splitlines()
    file = next(line.split(maxsplit=5)[5] for line in mapped if "/libstdc++.so" in line)
    symbols = re.findall(rb"GLIBCXX_(\d+(?:\.\d+)+)\x00", Path(file).read_bytes())
    return max(release_in(symbol.decode()) for symbol in symbols)


def memory() -> Memory:
    """Return RAM and its limits."""
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    # "MemTotal:       32768000 kB", where kB means KiB
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    total = kib["MemTotal"] * KIB
    shared = Path("/dev/shm")  # noqa: S108 its size is asked, nothing is written
    return Memory(
        total=total,
        available=kib["MemAvailable"] * KIB,
        limit=_limit(total),
        shared=shutil.disk_usage(shared).total if shared.is_dir() else None,
    )


def _limit(total: int) -> int | None:
    """Return the cgroup's memory limit; None without one."""
    for file in _LIMITS:
        try:
            text = Path(file).read_text("ascii").strip()
        except OSError:
            continue
        # Without a limit the file of cgroup v2 says "max", that of v1 a huge number.
        if text.isdigit() and 0 < int(text) < total:
            return int(text)
    return None


def disk() -> Disk:
    """Return the free space where the cache folder is, or would be."""
    cache = paths.cache().absolute()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return Disk(free=shutil.disk_usage(existing).free, writable=os.access(existing, os.W_OK))


def process() -> Process:
    """Return the limit of open files and the clock."""
    # The hard limit counts: vLLM raises the soft one to it.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY in (soft, hard)
    return Process(open_files=2**20 if unlimited else hard, now=int(time.time()))


def confinement() -> Confinement:
    """Return what the kernel offers to confine a process."""
    if platform.system() != "Linux":  # elsewhere the calls have other meanings
        return Confinement(landlock=0, seccomp=False)
    version, error = landlock.offered()
    return Confinement(landlock=version, landlock_error=error, seccomp=seccomp.is_offered())


def release_in(text: str) -> Release:
    """Return the first dotted number in a text, ``(550, 54, 14)``; empty if there is none."""
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()

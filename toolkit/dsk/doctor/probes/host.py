"""The operating system, its C libraries, memory and disk."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
from pathlib import Path
from typing import Final

from dsk import paths
from dsk.doctor.facts import Disk, Libraries, Memory, Release, System

_APT_SOURCES: Final = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


def system() -> System:
    """The operating system, as it names itself."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    codename = release.get("VERSION_CODENAME", "")
    return System(
        kind=platform.system(),
        machine=platform.machine(),
        distribution=release.get("ID", ""),
        codename=codename,
        name=release.get("PRETTY_NAME", platform.system()),
        root=os.geteuid() == 0,
        apt_source=_apt_source(codename),
    )


def _apt_source(codename: str) -> str:
    for file in _APT_SOURCES:
        try:
            if codename and codename in Path(file).read_text("utf-8"):
                return file
        except OSError:
            continue
    return ""


def libraries() -> Libraries:
    """glibc as it answers, and libstdc++ as the loader finds it."""
    named = os.confstr("CS_GNU_LIBC_VERSION") or ""
    return Libraries(glibc=release_in(named), glibcxx=_glibcxx())


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
    """RAM, from /proc/meminfo, which counts in KiB."""
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(total=kib["MemTotal"] * 1024, available=kib["MemAvailable"] * 1024)


def disk() -> Disk:
    """Free space where the cache folder is, or the nearest folder above it that exists."""
    cache = paths.cache().absolute()
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return Disk(free=shutil.disk_usage(place).free)


def release_in(text: str) -> Release:
    """The first dotted number in a text: ``(550, 54, 14)`` of ``"550.54.14"``; empty if none."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()

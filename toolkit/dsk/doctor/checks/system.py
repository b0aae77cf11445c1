"""The system under everything: its kind, Windows or a container around it, its C libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, dotted
from dsk.doctor.fixes import newer_libraries

if TYPE_CHECKING:
    from dsk.host.facts import System

GROUP: Final = CheckGroup(position=10)


@GROUP.check("system", "Operating system", needs=("system",))
def kind(context: CheckContext) -> Verdict:
    """The lock's wheels are for one system and architecture."""
    seen = context.facts.system
    assert seen
    wanted = f"Linux {context.stack.host.arch}"
    summary = f"{seen.name}, {seen.machine}"
    if f"{seen.kind} {seen.machine}" == wanted:
        return Verdict(status="ok", summary=summary)
    detail = f"stack {context.stack.id} is locked for {wanted}: run it on a machine of that kind"
    return Verdict(
        status="error", summary=summary, details=(detail,), commands=("dsk matrix list",)
    )


@GROUP.check("surroundings", "WSL or container", needs=("system",))
def surroundings(context: CheckContext) -> Verdict:
    """Whether Windows or a container stands between this Linux and the hardware."""
    seen = context.facts.system
    assert seen
    summary = _around(seen)
    if seen.wsl != 1 or context.stack.gpu is None:
        return Verdict(status="ok", summary=summary)
    return Verdict(
        status="error",
        summary=summary,
        details=("WSL 1 has no way to an NVIDIA card; WSL 2 has. In a Windows terminal, with the",)
        + ("name that wsl --list shows in place of Ubuntu:",),
        commands=("wsl.exe --set-version Ubuntu 2",),
    )


def _around(seen: System) -> str:
    windows = f"WSL {seen.wsl}, Linux inside Windows" if seen.wsl else ""
    container = f"in a container ({seen.container})" if seen.container else ""
    return ", ".join(part for part in (windows, container) if part) or "none: straight on hardware"


@GROUP.check("libraries", "C libraries", needs=("libraries",))
def libraries(context: CheckContext) -> Verdict:
    """Compiled wheels need the symbols they were linked with."""
    seen, floors, system = context.facts.libraries, context.stack.host, context.facts.system
    assert seen
    if system and system.kind != "Linux":
        return Verdict(status="skipped", summary="not reached: Operating system first")
    stdcxx = f"GLIBCXX_{dotted(seen.glibcxx)}" if seen.glibcxx else "no libstdc++"
    summary = f"glibc {dotted(seen.glibc)}, {stdcxx}"
    missing = []
    if seen.glibc < floors.glibc:
        missing.append(f"glibc {dotted(floors.glibc)}")
    if floors.glibcxx and seen.glibcxx < floors.glibcxx:
        missing.append(f"GLIBCXX_{dotted(floors.glibcxx)}")
    if not missing:
        return Verdict(status="ok", summary=summary)
    detail = f"stack {context.stack.id} needs {' and '.join(missing)} or newer"
    how, commands = newer_libraries(system)
    return Verdict(status="error", summary=summary, details=(detail, how), commands=commands)

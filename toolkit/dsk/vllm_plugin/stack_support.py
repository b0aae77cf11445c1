"""Support of a model by a stack, or by the vLLM that runs in its place: the one decision."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from packaging.version import Version

from dsk.errors import EngineMissing, MatrixInvalid
from dsk.matrix.select import IN_PLACE
from dsk.vllm_plugin import releases
from dsk.vllm_plugin.registration import DISTRIBUTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix import Matrix, Model, Stack
    from dsk.vllm_plugin.releases import Support


def stack_version(stack: Stack) -> str:
    """Return the version of vLLM that a stack pins.

    Raises:
        MatrixInvalid: it pins none.
    """
    pinned = next((stack.pins[name] for name in DISTRIBUTIONS if name in stack.pins), "")
    if not pinned:
        what = f"stack '{stack.id}' pins no vLLM, which is what reads"
        raise MatrixInvalid(what, do=f"add vllm to [pins] in {stack.id}.toml")
    return pinned


def obstacle(stack: Stack, model: Model, version: str | None = None) -> str:
    """Return why a stack does not read a model, in words; empty if it does.

    Args:
        stack: the stack.
        model: the model.
        version: the vLLM that will run, where it is not the stack's.
    """
    here = version or stack_version(stack)
    support = releases.support_for(here, model, device=stack.device)
    if support is None:
        needed = releases.needed_releases(model, stack.device)
        owner = "vLLM here is" if version else f"stack {stack.id} has"
        return f"{model.name} needs {needed}; {owner} {here}"
    if support.engine != stack.engine:
        started = f"vLLM {here} starts its {support.engine} engine"
        return f"{started}, stack {stack.id} is for {stack.engine}"
    return ""


def obstacle_for(model: Model, version: str | None = None) -> Callable[[Stack], str]:
    """Return `obstacle` of a model, as the choice of a stack takes it."""
    return functools.partial(obstacle, model=model, version=version)


def stacks_for(model: Model, matrix: Matrix) -> list[Stack]:
    """Return the stacks that read a model, the preferred ones first."""
    return [stack for stack in matrix.current if not obstacle(stack, model)]


def no_gpu_stack(model: Model, matrix: Matrix) -> str:
    """Return why no stack for a GPU reads a model, in one line; empty if one does."""
    on_gpus = [stack for stack in matrix.current if stack.gpu]
    newest = max(on_gpus, key=lambda stack: Version(stack_version(stack)))
    if not all(obstacle(stack, model) for stack in on_gpus):
        return ""
    return (
        f"no stack for a GPU reads it: {obstacle(newest, model)}: {advice(newest, model, matrix)}"
    )


def require(
    stack: Stack, model: Model, matrix: Matrix, *, version: str | None = None, native: bool = False
) -> Support:
    """Return what a model gets on a stack.

    Args:
        stack: the stack.
        model: the model.
        matrix: the matrix, for the stacks that an error names.
        version: the vLLM that will run, where it is not the stack's.
        native: whether vLLM's own model is wanted wherever it has one.

    Raises:
        EngineMissing: the stack does not read it; the message names the stacks that do.
        MatrixInvalid: the stack pins no vLLM.
    """
    if reason := obstacle(stack, model, version):
        raise EngineMissing(reason, do=advice(stack, model, matrix, version=version))
    here = version or stack_version(stack)
    support = releases.support_for(here, model, device=stack.device, native=native)
    assert support is not None
    return support


def advice(stack: Stack, model: Model, matrix: Matrix, *, version: str | None = None) -> str:
    """Return the stacks to take instead, those for the same kind of device first.

    Args:
        stack: the one that does not read the model.
        model: the model.
        matrix: the matrix.
        version: the vLLM that will run, where it is not the stack's.
    """
    able = stacks_for(model, matrix)
    if not obstacle(stack, model):  # another vLLM runs in its place
        return f"dsk env create --stack {stack.id}"
    able.sort(key=lambda other: other.device != stack.device)
    if not able:
        return f"no stack has it; {IN_PLACE}"
    others = " or ".join(f"--stack {other.id}" for other in able)
    in_place = version is None and able[0].device != stack.device
    return f"{others} can read it" + (f"; {IN_PLACE}" if in_place else "")

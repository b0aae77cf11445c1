"""A stack and the GPU it is for to a Dockerfile: the same input gives the same bytes."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.images import command
from dsk.locks import lock_file
from dsk.matrix import evidence
from dsk.matrix.profiles import driver_release
from dsk.matrix.stack import best_kernel, compiled_kernels

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dsk.locks.lock_file import LockedPackage
    from dsk.matrix import Gpu, Stack
    from dsk.matrix.evidence import Evidence


def dockerfile(gpu: Gpu | None, stack: Stack, known: Iterable[Evidence]) -> str:
    """The Dockerfile of a stack for one GPU model, or for none.

    Args:
        gpu: the card whose kernels are compiled; None for a stack of the CPU.
        stack: what is installed.
        known: all evidence, the oldest first: its state is a label of the image.

    Raises:
        MatrixInvalid: the stack names no base image, or its lock is missing or damaged.
    """
    return templates().get_template("Dockerfile.j2").render(_context(gpu, stack, known))


@functools.cache
def templates() -> Environment:
    """The templates, in which a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(paths.templates()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 Dockerfiles, not HTML
    )
    environment.filters |= {"quoted": quoted, "driver": driver_release}
    return environment


def quoted(value: str) -> str:
    """A value as a Dockerfile's ENV, LABEL and RUN take it, with nothing left to expand.

    Raises:
        MatrixInvalid: it holds a line break, which no quoting carries.
    """
    if re.search(r"[\r\n]", value):
        what = "a value for a Dockerfile holds a line break"
        raise MatrixInvalid(what, do="allowed is one line")
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _context(gpu: Gpu | None, stack: Stack, known: Iterable[Evidence]) -> dict[str, Any]:
    """Flat facts for the template, which decides nothing about versions."""
    if stack.image is None:
        what = f"stack '{stack.id}' names no base image"
        raise MatrixInvalid(what, do=f"add [image] to compat/stacks/{stack.id}.toml")
    return {
        "gpu": gpu,
        "stack": stack,
        "image": stack.image,
        "epoch": command.epoch(stack),
        "uv": _locked_uv(stack.lock_file),
        "lock_sha256": stack.lock_sha256(),
        "kernels": compiled_kernels(stack, gpu.compute_capability) if gpu else "",
        "evidence": evidence.summary(evidence.proof_status(stack, known)),
        "sources": [
            {
                "requirement": f"{source.package}=={stack.pins[source.package]}",
                "package": source.package,
                "sha256": source.sha256,
                "environment": {source.kernels_variable: _kernel(source.kernels, gpu)}
                | source.environment,
                "arguments": source.arguments,
            }
            for source in stack.sources
        ],
    }


@functools.cache
def _locked_uv(lock: Path) -> LockedPackage:
    """The lock's uv, which installs the rest; read once for all the GPUs of a stack."""
    for one in lock_file.parse(lock):
        if one.name == "uv":
            return one
    what = f"{lock}: found no uv"
    raise MatrixInvalid(what, do=f"dsk matrix lock {lock.stem}")


def _kernel(kernels: tuple[tuple[int, int], ...], gpu: Gpu | None) -> str:
    if gpu is None:
        what = "a package from source is compiled for a card, and none is named"
        raise MatrixInvalid(what, do="give sources to stacks for GPUs alone")
    kernel = best_kernel(kernels, gpu.compute_capability)
    if kernel is None:
        what = f"a package from source has no kernel for {gpu.name}"
        raise MatrixInvalid(what, do=f"allowed is one that runs on {gpu.sm}")
    return f"{kernel[0]}{kernel[1]}"

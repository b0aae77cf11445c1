"""Rendering of a Dockerfile from a stack and a GPU; the same input gives the same bytes."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.images import command
from dsk.locks import lock_file
from dsk.matrix import evidence, licences
from dsk.matrix.digests import digest_of, tag_of
from dsk.matrix.load import load_licences
from dsk.matrix.profiles import driver_release
from dsk.matrix.stack import best_kernel, compiled_kernels

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dsk.locks.lock_file import LockedPackage
    from dsk.matrix import Gpu, Stack
    from dsk.matrix.evidence import Evidence


def dockerfile(gpu: Gpu | None, stack: Stack, known: Iterable[Evidence]) -> str:
    """Return the Dockerfile of a stack for a GPU model, or for a CPU.

    Args:
        gpu: the card that kernels are compiled for; None for a CPU stack.
        stack: the stack to install.
        known: all evidence, oldest first; its summary is a label of the image.

    Raises:
        MatrixInvalid: the stack names no base image, or its lock is missing or damaged.
    """
    return templates().get_template("Dockerfile.j2").render(_context(gpu, stack, known))


@functools.cache
def templates() -> Environment:
    """Return the templates' environment; an undefined name in a template is an error."""
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
    """Quote a value for a Dockerfile's ENV, LABEL and RUN, so that nothing in it is expanded.

    Raises:
        MatrixInvalid: it contains a line break, which cannot be quoted.
    """
    if re.search(r"[\r\n]", value):
        what = "a value for a Dockerfile contains a line break"
        raise MatrixInvalid(what, do="write it as one line")
    # Backslash, quote, dollar and backtick are all that a double-quoted word expands.
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _context(gpu: Gpu | None, stack: Stack, known: Iterable[Evidence]) -> dict[str, Any]:
    """Return the template's variables; the template decides nothing about versions."""
    if stack.image is None:
        what = f"stack '{stack.id}' names no base image"
        raise MatrixInvalid(what, do=f"add [image] to compat/stacks/{stack.id}.toml")
    return {
        "gpu": gpu,
        "stack": stack,
        "image": stack.image,
        "epoch": command.epoch(stack),
        "uv": _locked_uv(stack.lock_file),
        "base": {"name": tag_of(stack.image.runtime), "digest": digest_of(stack.image.runtime)},
        "licences": _licences(stack),
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


def _licences(stack: Stack) -> str:
    locked = [(package.name, package.version) for package in lock_file.parse(stack.lock_file)]
    built = [(source.package, stack.pins[source.package]) for source in stack.sources]
    return licences.expression([*locked, *built], load_licences(stack.folder))


# Cached: dsk render makes dozens of Dockerfiles from a handful of locks.
@functools.cache
def _locked_uv(lock: Path) -> LockedPackage:
    """Return the lock's uv, which installs the rest."""
    for package in lock_file.parse(lock):
        if package.name == "uv":
            return package
    what = f"{lock}: found no uv"
    raise MatrixInvalid(what, do=f"dsk matrix lock {lock.stem}")


def _kernel(kernels: tuple[tuple[int, int], ...], gpu: Gpu | None) -> str:
    if gpu is None:
        what = "a package from source is compiled for a card, and none is named"
        raise MatrixInvalid(what, do="give sources to stacks for GPUs alone")
    kernel = best_kernel(kernels, gpu.compute_capability)
    if kernel is None:
        what = f"a package from source has no kernel for {gpu.name}"
        raise MatrixInvalid(what, do=f"add a kernel that runs on {gpu.sm}")
    return f"{kernel[0]}{kernel[1]}"

"""Rendering of a Dockerfile from a stack; the same input gives the same bytes."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dsk import models, paths
from dsk.errors import MatrixInvalid
from dsk.images import command, parts
from dsk.locks import lock_file
from dsk.matrix import evidence
from dsk.matrix.digests import digest_of, tag_of
from dsk.matrix.profiles import driver_release

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dsk.images.parts import Part
    from dsk.locks.lock_file import LockedPackage
    from dsk.matrix import Stack
    from dsk.matrix.evidence import Evidence


def dockerfile(stack: Stack, known: Iterable[Evidence]) -> str:
    """Return the Dockerfile of a stack.

    Args:
        stack: the stack to install.
        known: all evidence, oldest first; its summary is a label of the image.

    Raises:
        MatrixInvalid: the stack names no base image, or its lock is missing or damaged.
    """
    return templates().get_template("Dockerfile.j2").render(_context(stack, known))


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


def _context(stack: Stack, known: Iterable[Evidence]) -> dict[str, Any]:
    """Return the template's variables; the template decides nothing about versions."""
    if stack.image is None:
        what = f"stack '{stack.id}' names no base image"
        raise MatrixInvalid(what, do=f"add [image] to compat/stacks/{stack.id}.toml")
    return {
        "stack": stack,
        "model": models.default().id,
        "image": stack.image,
        "epoch": command.epoch(stack),
        "uv": _locked_uv(stack.lock_file),
        "base": {"name": tag_of(stack.image.runtime), "digest": digest_of(stack.image.runtime)},
        "licences": parts.licences(stack, None),
        "lock_sha256": stack.lock_sha256(),
        "evidence": evidence.summary(evidence.proof_status(stack, known)),
        "parts": [_part(part, stack) for part in parts.parts_of(stack).values()],
    }


def _part(part: Part, stack: Stack) -> dict[str, Any]:
    source = part.source
    return {
        "name": part.name,
        "package": source.package,
        "version": stack.pins[source.package],
        "sha256": source.sha256,
        "wheel": source.wheel if part.is_wheel else None,
        # An argument, so that a build for one card can compile less.
        "arguments": {source.kernels_variable: parts.every_kernel(source)} | source.arguments,
        "environment": source.environment,
    }


# Cached: dsk render makes dozens of Dockerfiles from a handful of locks.
@functools.cache
def _locked_uv(lock: Path) -> LockedPackage:
    """Return the lock's uv, which installs the rest."""
    for package in lock_file.parse(lock):
        if package.name == "uv":
            return package
    what = f"{lock}: found no uv"
    raise MatrixInvalid(what, do=f"dsk matrix lock {lock.stem}")

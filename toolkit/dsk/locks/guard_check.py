"""The check that a GPU's model runner accepts the guard that dsk names to it, before installation.

A wheel's few sources in question are read from the index by range requests and judged by
`dsk.vllm_plugin.guard.acceptance`; the result is kept in the cache by the wheel's hash.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from pydantic import ValidationError

import dsk
from dsk import paths
from dsk.errors import EngineMissing
from dsk.files import write_atomically
from dsk.frozen import Frozen
from dsk.locks import lock_file
from dsk.locks.http_ranges import open_url
from dsk.locks.resolve import best_wheel, files_of, tags_of
from dsk.package_index import client, failure_reason
from dsk.vllm_plugin.guard.acceptance import (
    Acceptance,
    Interface,
    ModelRunner,
    interfaces_of,
    judge,
    read_model_runner,
)
from dsk.vllm_plugin.releases import NATIVE_GUARD, support_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.locks.resolve import IndexFile
    from dsk.matrix import Model
    from dsk.matrix.stack import Stack

_VLLM: Final = "vllm"


class RunnerFacts(Frozen):
    """Facts of a vLLM wheel that decide on guards.

    Args:
        runner: the runner that it gives a GPU.
        native: the interfaces that vLLM's own guard implements.
    """

    runner: ModelRunner
    native: frozenset[Interface]


def guards_of(
    stack: Stack, models: Iterable[Model], *, version: str | None = None
) -> list[Acceptance]:
    """Judge each guard that dsk names for a stack's models to a GPU's engine.

    Nothing is installed. The result is empty for a stack without a GPU, and for models that attach
    their guard themselves, as on the V0 engine.

    Args:
        stack: the stack; with no ``version`` its lock says which wheel is read.
        models: the models that it is to read.
        version: a vLLM release in place of the locked one, such as ``0.31.0``.

    Raises:
        MatrixInvalid: the lock is missing or invalid, or the release has no wheel for the stack.
        EngineMissing: the wheel is not in the cache yet and the index cannot be reached.
    """
    if stack.device != "cuda" or _VLLM not in stack.pins:
        return []
    release = version or stack.pins[_VLLM]
    supports = [support_for(release, model, device="cuda") for model in models]
    guards = sorted({each.guard for each in supports if each and each.guard})
    if not guards:
        return []
    facts = _locked(stack) if version is None else _released(stack, version)
    if facts is None:  # the index has no wheel with the locked hash, which is a fault of its own
        return []
    return [judge(release, guard, _interfaces(guard, facts), facts.runner) for guard in guards]


def read_wheel(wheel: zipfile.ZipFile) -> RunnerFacts:
    """Read the facts from a vLLM wheel, a local one or one on the index."""
    names = set(wheel.namelist())

    def read(name: str) -> str | None:
        return wheel.read(name).decode() if name in names else None

    return RunnerFacts(runner=read_model_runner(read), native=interfaces_of(NATIVE_GUARD, read))


def _interfaces(guard: str, facts: RunnerFacts) -> frozenset[Interface]:
    return facts.native if guard == NATIVE_GUARD else interfaces_of(guard, _own_source)


def _own_source(name: str) -> str | None:
    file = Path(dsk.__file__).parent.parent / name
    return file.read_text("utf-8") if file.is_file() else None


def _locked(stack: Stack) -> RunnerFacts | None:
    locked = next(each for each in lock_file.parse(stack.lock_file) if each.name == _VLLM)

    if facts := _cached(locked.sha256):
        return facts
    offered = files_of(stack, {_VLLM: locked.version})[_VLLM]
    file = next((file for file in offered if file.sha256 == locked.sha256), None)
    return _fetched(file) if file else None


def _released(stack: Stack, version: str) -> RunnerFacts:
    wheel = best_wheel(files_of(stack, {_VLLM: version})[_VLLM], tags_of(stack), _VLLM)
    return _cached(wheel.sha256) or _fetched(wheel)


def _fetched(file: IndexFile) -> RunnerFacts:
    """Read the facts from the index, and cache them."""
    try:
        with (
            client() as network,
            open_url(network, file.url) as stream,
            zipfile.ZipFile(stream) as packed,
        ):
            facts = read_wheel(packed)
    except (httpx.HTTPError, zipfile.BadZipFile) as error:
        what = f"the sources in {file.name} could not be read: {failure_reason(error)}"
        raise EngineMissing(what, do="check the network, or set pip's index-url") from error
    write_atomically(_entry(file.sha256), facts.model_dump_json(indent=1) + "\n")
    return facts


def _cached(sha256: str) -> RunnerFacts | None:
    try:
        return RunnerFacts.model_validate_json(_entry(sha256).read_bytes())
    except (OSError, ValidationError):
        return None


def _entry(sha256: str) -> Path:
    return paths.cache() / "runners" / f"{sha256}.json"

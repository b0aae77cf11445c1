"""Executors: where a planned run is carried out. Each module here but `base` is one kind.

A module of a kind has ``RUNTIMES``, the values of ``--runtime`` that it serves with a few words on
each, and ``executor``, which makes one. Nothing else has to be told of a new module.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from dsk.matrix import Matrix, Stack
    from dsk.ocr.executors.base import Executor, ExecutorOptions

_SHARED = frozenset({"base", "runner_process"})


@functools.cache
def runtimes() -> dict[str, str]:
    """Return every value of ``--runtime`` with a few words on it, the default one first."""
    # Modules keep their imports inside functions: this is asked for the help of every command.
    found = {name: words for module in _modules() for name, words in module.RUNTIMES.items()}
    return dict(sorted(found.items(), key=lambda item: item[0] != "venv"))


def executor_for(
    runtime: str, stack: Stack | None, matrix: Matrix, options: ExecutorOptions
) -> Executor:
    """Return the executor of a runtime.

    Args:
        runtime: one of `runtimes`.
        stack: the stack whose engine reads; None where servers read.
        matrix: the matrix, for the cards of this machine.
        options: what the user said of containers and servers.

    Raises:
        UsageProblem: there is no such runtime.
    """
    for module in _modules():
        if runtime in module.RUNTIMES:
            executor: Executor = module.executor(runtime, stack, matrix, options)
            return executor
    what = f"no such runtime '{runtime}'"
    raise UsageProblem(what, do=f"choose one of {', '.join(runtimes())}")


@functools.cache
def _modules() -> tuple[Any, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(
        importlib.import_module(f"{__name__}.{name}") for name in names if name not in _SHARED
    )

"""Carry out a run with a Python of this machine: the stack's environment, or this interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.credentials import KEY_VARIABLE

if TYPE_CHECKING:
    from dsk.matrix import Matrix, Stack
    from dsk.ocr.executors.base import ExecutorOptions
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan

RUNTIMES: Final = {"venv": "the stack's environment", "in-place": "this interpreter"}


class LocalExecutor:
    """See `dsk.ocr.executors.base.Executor`."""

    def __init__(self, runtime: str, stack: Stack | None, api_key: str | None) -> None:
        self._runtime = runtime
        self._stack = stack
        self._environment = {KEY_VARIABLE: api_key} if api_key else {}

    def require(self) -> None:
        """See `Executor.require`."""
        from dsk.runtime import environments

        if self._stack and self._runtime == "venv":
            environments.require(self._stack)

    def execute(self, plan: RunPlan, listener: Listener) -> bool:
        """See `Executor.execute`."""
        from dsk.ocr.executors import runner_process
        from dsk.runtime.base import InPlaceRuntime, runtime_for

        # Servers have the engine: the runner needs nothing but dsk's own dependencies.
        place = runtime_for(self._stack, self._runtime) if self._stack else InPlaceRuntime()
        return runner_process.run(
            plan, place, listener, stack=self._stack, environment=self._environment
        )


def executor(
    runtime: str, stack: Stack | None, matrix: Matrix, options: ExecutorOptions
) -> LocalExecutor:
    """Return the executor of a local runtime."""
    del matrix
    return LocalExecutor(runtime, stack, options.api_key)

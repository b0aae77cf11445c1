"""Where the runner runs: one interface, whether that is a stack's environment or this Python."""

from __future__ import annotations

import abc
import os
import sys
from typing import IO, TYPE_CHECKING, Final, Protocol

from dsk.errors import UsageProblem
from dsk.processes import Child
from dsk.runtime import environments, link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dsk.matrix import Stack

# Nothing is downloaded but what the user asked for, and nothing is told to anybody.
QUIET: Final = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
# Another Python's packages must not reach a hash-locked environment; and an engine that may not
# keep its bytecode compiles torch and vLLM anew at each start.
_FOREIGN: Final = (
    *("PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX"),
    "PYTHONDONTWRITEBYTECODE",
)


class Runtime(Protocol):
    """Somewhere a module of dsk can run on a stack's versions."""

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> Child:
        """Start a module there.

        Args:
            module: what ``python -m`` is to run, a module of dsk.
            arguments: its arguments.
            environment: environment variables to add; they win over the stack's.
            stdin: as `subprocess.Popen` takes it; inherited when not given.
            stdout: likewise.
            stderr: likewise.

        Returns:
            The running program: wait for it, or leave its ``with`` block to end it.

        Raises:
            EngineMissing: the place is not there, with the command that makes it.
        """
        ...


class _Interpreter(abc.ABC):
    """A Python on this machine."""

    def __init__(self, stack: Stack | None) -> None:
        self._environment = stack.environment if stack else {}

    @abc.abstractmethod
    def python(self) -> Path | str:
        """The interpreter to start."""

    def variables(self) -> dict[str, str]:
        """All its environment variables."""
        return dict(os.environ) | QUIET | self._environment

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> Child:
        """See `Runtime.start`."""
        return Child(
            [self.python(), "-m", module, *arguments],
            environment=self.variables() | dict(environment or {}),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


class VenvRuntime(_Interpreter):
    """A stack's hash-locked environment, with this dsk lent to it."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.stack = stack

    def python(self) -> Path:
        """The environment's Python.

        Raises:
            EngineMissing: the environment has not been created.
        """
        return environments.require(self.stack).python

    def variables(self) -> dict[str, str]:
        """Ours and the stack's, less what is for another Python."""
        ours = {name: text for name, text in super().variables().items() if name not in _FOREIGN}
        return ours | {
            "PYTHONPATH": str(link.folder()),
            "PYTHONNOUSERSITE": "1",
            "PYTHONSAFEPATH": "1",  # a torch.py in the user's folder is not torch
        }


class InPlaceRuntime(_Interpreter):
    """The interpreter that runs this very code.

    For an environment somebody made on their own; and without a stack, for what needs no engine.
    """

    def __init__(self, stack: Stack | None = None) -> None:
        super().__init__(stack)

    def python(self) -> str:
        """Our own interpreter."""
        return sys.executable


_KINDS: Final[dict[str, type[VenvRuntime | InPlaceRuntime]]] = {
    "venv": VenvRuntime,
    "in-place": InPlaceRuntime,
}


def runtime_for(stack: Stack, kind: str = "venv") -> Runtime:
    """The place of a kind for a stack.

    Raises:
        UsageProblem: there is no such kind.
    """
    if kind not in _KINDS:
        what = f"no such runtime '{kind}'"
        raise UsageProblem(what, do=f"known are {', '.join(_KINDS)}")
    return _KINDS[kind](stack)

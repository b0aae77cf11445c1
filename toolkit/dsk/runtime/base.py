"""The interface of runtimes, and the two that start a Python of this machine."""

from __future__ import annotations

import abc
import os
import sys
from typing import IO, TYPE_CHECKING, Final, Protocol

from dsk.credentials import without_credentials
from dsk.errors import UsageProblem
from dsk.processes import Child
from dsk.runtime import environments, link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dsk.matrix import Stack

# Neither vLLM nor the hub's library may download anything or report usage.
QUIET: Final = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
# A torch.py, or a dsk, in the working folder would be imported in place of the installed one: who
# reads documents in a folder of downloads would run what lies beside them.
_SAFE_PATH: Final = {"PYTHONSAFEPATH": "1"}
# Another Python's packages must not get into a hash-locked environment; and without bytecode files
# an engine compiles torch's and vLLM's Python code at each start.
_FOREIGN: Final = (
    *("PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX"),
    "PYTHONDONTWRITEBYTECODE",
)


class Runtime(Protocol):
    """Environment in which a module of dsk runs with a stack's versions."""

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
        """Start a module.

        Args:
            module: a module of dsk, which ``python -m`` runs.
            arguments: its arguments.
            environment: environment variables to add; they override the stack's.
            stdin: as `subprocess.Popen` takes it; inherited when not given.
            stdout: likewise.
            stderr: likewise.

        Returns:
            The running program: wait for it, or leave its ``with`` block to end it.

        Raises:
            EngineMissing: the runtime does not exist; the message has the command that creates it.
        """
        ...


class _Interpreter(abc.ABC):
    """Python interpreter of this machine."""

    def __init__(self, stack: Stack | None) -> None:
        self._environment = stack.environment if stack else {}

    @abc.abstractmethod
    def python(self) -> Path | str:
        """Return the interpreter to start."""

    def variables(self) -> dict[str, str]:
        """Return all its environment variables: ours without keys, and the stack's."""
        return without_credentials(os.environ) | QUIET | _SAFE_PATH | self._environment

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
        """Start a module, see `Runtime.start`."""
        # Not through a script of the environment: -m finds this dsk by PYTHONPATH.
        return Child(
            [self.python(), "-m", module, *arguments],
            environment=self.variables() | dict(environment or {}),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


class VenvRuntime(_Interpreter):
    """Hash-locked environment of a stack, with this dsk on its path."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.stack = stack

    def python(self) -> Path:
        """Return the environment's Python.

        Raises:
            EngineMissing: the environment has not been created.
        """
        return environments.require(self.stack).python

    def variables(self) -> dict[str, str]:
        """Return our variables and the stack's, without those for another Python."""
        ours = super().variables()
        kept = {name: value for name, value in ours.items() if name not in _FOREIGN}
        return kept | {
            "PYTHONPATH": str(link.folder()),
            "PYTHONNOUSERSITE": "1",
        }


class InPlaceRuntime(_Interpreter):
    """Interpreter that runs this code.

    For an environment that the user made; and, without a stack, for modules that need no engine.
    """

    def __init__(self, stack: Stack | None = None) -> None:
        super().__init__(stack)

    def python(self) -> str:
        """Return this interpreter."""
        return sys.executable


_KINDS: Final[dict[str, type[VenvRuntime | InPlaceRuntime]]] = {
    "venv": VenvRuntime,
    "in-place": InPlaceRuntime,
}


def runtime_for(stack: Stack, kind: str = "venv") -> Runtime:
    """Return the runtime of a kind for a stack.

    Raises:
        UsageProblem: there is no such kind.
    """
    if kind not in _KINDS:
        what = f"no such runtime '{kind}'"
        raise UsageProblem(what, do=f"use one of {', '.join(_KINDS)}")
    return _KINDS[kind](stack)

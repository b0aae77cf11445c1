"""The executor protocol: a run plan in, events out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Options of single executors.

    Args:
        image: a container's image by name or digest; None is the newest that fits.
        shm_size: the size of a container's shared memory, as docker takes it.
        api_key: the key that servers want; it reaches the engine's process and nothing else.
    """

    image: str | None = None
    shm_size: str | None = None
    api_key: str | None = field(default=None, repr=False)


class Executor(Protocol):
    """Somewhere a planned run can be carried out."""

    def require(self) -> None:
        """Check that what it runs in is on this machine.

        Raises:
            EngineMissing: it is not, with the command that makes it.
        """

    def execute(self, plan: RunPlan, listener: Listener) -> bool:
        """Carry out a plan to its end and pass its events on.

        Returns:
            True if every page came out whole.

        Raises:
            Interrupted: the run was asked to end.
            DskError: something stopped it, of the fitting kind.
        """

"""The pipeline's handle on an engine's process of this machine: start it, and end it."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from dsk.ocr.engines.connection import SEND_SECONDS, EngineConnection, EngineDied
from dsk.ocr.ipc.channel import Channel
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

COMMAND: Final = (sys.executable, "-P", "-m", "dsk.ocr.engines.worker")

_SECONDS_TO_END: Final = 10
TIMEOUT_STATUS: Final = 124
"""Status of an engine that was ended, as timeout(1) has it."""


class EngineHandle(EngineConnection):
    """A running engine. A context manager: leaving it ends the engine and all that it started.

    Args:
        command: the program; the plan's file, a descriptor and the card's position follow as
            arguments.
        plan: the plan's file.
        number: its number among the engines of the run, from 1.
        card: the position of its card in the plan's placement.
        environment: variables to add to its environment.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        plan: Path,
        number: int,
        card: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        channel, theirs = Channel.pair(seconds=SEND_SECONDS)
        super().__init__(channel, number, card)
        with theirs:
            self._child = Child(
                [*command, plan, str(theirs.fileno()), str(card)],
                environment=dict(os.environ) | dict(environment) if environment else None,
                stdout=2,
                pass_fds=[theirs.fileno()],
                # Ctrl-C is the pipeline's to handle: the engine finishes the pages that it has.
                forward_signals=False,
            )

    def check_alive(self) -> None:
        """See `EngineConnection.check_alive`."""
        if self._child.process.poll() is None:
            return
        # What it sent before its end is received first.
        if not select.select([self.channel], [], [], 0)[0]:
            raise self._died()

    def ended(self, code: int, how: str) -> EngineDied:
        """See `EngineConnection.ended`."""
        self.channel.close()
        self._child.end()
        return EngineDied(code, how)

    @property
    def unkillable(self) -> tuple[int, ...]:
        """Process ids of what was left when it was ended."""
        return self._child.unkillable

    def end(self) -> None:
        """See `EngineConnection.end`."""
        self.channel.close()
        if self.ready is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.process.wait(timeout=_SECONDS_TO_END)
        self._child.end()

    def _died(self) -> EngineDied:
        code = self._child.exit_code()
        if code is None:
            return self.ended(TIMEOUT_STATUS, "closed its connection and went on: it was ended")
        how = f"ended with {self._child.described_end()}"
        # What it leaves running, which holds the card's memory, is ended with it.
        return self.ended(code, how if self.ready else f"{how} while it loaded")

"""The runner's process: start it, pass its events on, turn its end into a result or an error."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from dsk.errors import (
    KINDS,
    DskError,
    EngineMissing,
    InputUnreadable,
    Interrupted,
    PagesDegraded,
)
from dsk.explain import explain_text
from dsk.explain.tail import last_line
from dsk.filenames import printable
from dsk.files import open_log
from dsk.ocr.engines import loading
from dsk.ocr.results.ledger import resume_hint
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import EVENTS, Died, EngineEnded, EngineLoading, Failed, Warned
from dsk.processes import output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.matrix import Stack
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan
    from dsk.runtime.base import Runtime

_TAIL: Final = 1 << 14  # bytes of a log's end that hold its last line
_LINE: Final = 300  # characters of a log's line that are quoted


def run(
    plan: RunPlan,
    runtime: Runtime,
    listener: Listener,
    *,
    out: Path | None = None,
    stack: Stack | None = None,
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Run the runner on a plan to its end.

    Args:
        plan: as the runner sees it.
        runtime: where it runs.
        listener: called with each event.
        out: the output folder as this process sees it, for the engine's log; the plan's by default.
        stack: the stack whose versions an explanation of the log goes by.
        environment: variables to add to the runner's.

    Returns:
        True if every page came out whole.

    Raises:
        Interrupted: the run was asked to end.
        DskError: something stopped the runner, of the kind that it ended with.
    """
    log = _EngineLog((out or plan.out) / run_files.ENGINE_LOG, stack)
    # The plan goes as a file: it may name a hundred thousand documents.
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(plan.model_dump_json())
        file.flush()
        with (
            open_log(log.file) as sink,
            runtime.start(
                "dsk.ocr.run.runner",
                [Path(file.name)],
                environment=environment,
                stdout=subprocess.PIPE,
                stderr=sink,
            ) as child,
        ):
            relay = _Relay(listener, log)
            for line in output.lines(child.process):
                relay.take(line)
            code = child.wait()
    if code in (0, PagesDegraded.exit_code):
        relay.explain_ends()
        return code == 0
    if child.stop_requested:
        what = "the run was interrupted"
        do = f"what was read is kept: {resume_hint(overwrite=plan.overwrite)}"
        raise Interrupted(what, do=do)
    raise relay.error(code, child.described_end())


class _EngineLog:
    """Log of the runner and of its engines.

    Args:
        file: its path.
        stack: the stack whose versions an explanation goes by.
    """

    def __init__(self, file: Path, stack: Stack | None) -> None:
        self.file = file
        self._stack = stack

    def last_line(self) -> str:
        """Return the last line, safe to print; empty if there is none."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
                return last_line(stream.read())
        except OSError:
            return ""

    def explained(self, what: str) -> tuple[str, str]:
        """Explain an end.

        Args:
            what: the end.

        Returns:
            The end with its cause, as far as the log shows one; and what to do.
        """
        pins = self._stack.pins if self._stack else {}
        name = self._stack.id if self._stack else "server"
        try:
            with self.file.open("rb") as stream:
                explanation = explain_text(stream, stack=name, pins=pins)
        except (OSError, InputUnreadable):  # it is gone, or holds no text
            return what, f"its log is {self.file}"
        if explanation.causes:
            cause = explanation.causes[0]
            return _in_a_line(f"{what}: {cause.cause}"), _in_a_line(
                f"{cause.fix} Its log is {self.file}"
            )
        do = f"its log is {self.file}"
        if explanation.last_error:
            do += f", and its last error: {printable(explanation.last_error.text[:_LINE])}"
        return what, do


class _Relay:
    """Passes a runner's events on, and keeps those that tell of ends."""

    def __init__(self, listener: Listener, log: _EngineLog) -> None:
        self._listener = listener
        self._log = log
        self._failure: Failed | Died | None = None
        self._ended: EngineEnded | None = None

    def take(self, line: str | None) -> None:
        """Take a line of the runner's output."""
        if line is None:
            return
        try:
            event = EVENTS.validate_json(line)
        except ValidationError:
            # Not an event: a library that found the original descriptor and printed to it.
            return
        match event:
            case Failed() | Died():
                self._failure = event
            case EngineLoading():
                self._listener(Warned(message=self._loading(event)))
            case EngineEnded():
                self._ended = event
                self._listener(event)
            case _:
                self._listener(event)

    def explain_ends(self) -> None:
        """Pass on the explanation of engines that have ended although the run went on."""
        if self._ended is not None:
            message = ": ".join(self._log.explained(self._ended.message))
            self._listener(Warned(message=message))

    def error(self, code: int, end: str) -> DskError:
        """Return the error for a runner that failed.

        Args:
            code: its exit code.
            end: its exit code in words.
        """
        if isinstance(self._failure, Failed):
            kind = next((kind for kind in KINDS if kind.exit_code == code), EngineMissing)
            return kind(self._failure.message)
        what = f"the process that runs the engine ended with {end}"
        # The runner's own code says only that the engine died; the engine's says how.
        if self._failure is not None:
            what = f"the engine {self._failure.how or f'ended with status {self._failure.code}'}"
        what, do = self._log.explained(what)
        return EngineMissing(what, do=do)

    def _loading(self, event: EngineLoading) -> str:
        name = f"engine {event.engine}"
        return loading.progress_report(name, event.seconds, event.limit, self._log.last_line())


def _in_a_line(text: str) -> str:
    return " ".join(text.split())

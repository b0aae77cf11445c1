"""The runner's process: start it, pass its events on, turn its end into a result or an error."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydantic import ValidationError

from dsk.errors import KINDS, DskError, EngineMissing, Interrupted, PagesDegraded
from dsk.explain import explain_text
from dsk.files import open_log
from dsk.ocr.results.ledger import resume_hint
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import EVENTS, Died, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.matrix import Stack
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan
    from dsk.runtime.base import Runtime


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
    log = (out or plan.out) / run_files.ENGINE_LOG
    # The plan goes as a file: it may name a hundred thousand documents.
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(plan.model_dump_json())
        file.flush()
        with (
            open_log(log) as sink,
            runtime.start(
                "dsk.ocr.run.runner",
                [Path(file.name)],
                environment=environment,
                stdout=subprocess.PIPE,
                stderr=sink,
            ) as child,
        ):
            assert child.process.stdout is not None
            failure = _follow(child.process.stdout, listener)
            code = child.wait()
    if code in (0, PagesDegraded.exit_code):
        return code == 0
    if child.stop_requested:
        what = "the run was interrupted"
        do = f"what was read is kept: {resume_hint(overwrite=plan.overwrite)}"
        raise Interrupted(what, do=do)
    raise _error(code, failure, log, stack)


def _follow(stream: IO[str], listener: Listener) -> Failed | Died | None:
    """Pass events on until the runner closes its end; return the last failure."""
    failure: Failed | Died | None = None
    for line in stream:
        try:
            event = EVENTS.validate_json(line)
        except ValidationError:
            # Not an event: a library that found the original descriptor and printed to it.
            continue
        if isinstance(event, (Failed, Died)):
            failure = event
        else:
            listener(event)
    return failure


def _error(code: int, failure: Failed | Died | None, log: Path, stack: Stack | None) -> DskError:
    kind = next((kind for kind in KINDS if kind.exit_code == code), EngineMissing)
    if isinstance(failure, Failed):
        return kind(failure.message)
    # The runner's own code says only that the engine died; the engine's says how.
    if failure is not None:
        code = failure.code
    with log.open("rb") as stream:
        versions = stack.pins if stack else {}
        causes = explain_text(stream, stack=stack.id if stack else "server", pins=versions).causes
    if not causes:
        return EngineMissing(f"the engine ended with status {code}", do=f"its log is {log}")
    what = f"the engine ended with status {code}: {causes[0].cause}"
    return EngineMissing(_in_a_line(what), do=_in_a_line(f"{causes[0].fix} Its log is {log}"))


def _in_a_line(text: str) -> str:
    return " ".join(text.split())

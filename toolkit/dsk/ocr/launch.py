"""The launcher's side of a run: start the runner, follow its events, pass on how it ended."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from pydantic import ValidationError

from dsk.errors import KINDS, DskError, EngineMissing, PagesDegraded, UsageProblem
from dsk.ocr.job import EVENTS, Failed

if TYPE_CHECKING:
    from dsk.ocr.job import Event, Job
    from dsk.runtime.launch import Runtime

LOG: str = "engine.log"
"""What the engine printed, in the output folder."""


class Listener(Protocol):
    """Who is told of the runner's events."""

    def __call__(self, event: Event) -> None:
        """Take an event."""


def prepare(out: Path) -> None:
    """See that outputs can be written to a folder.

    Raises:
        UsageProblem: they cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        what = f"the output folder {out} cannot be written to ({error.strerror})"
        raise UsageProblem(what, do="name another with -o") from error


def run(job: Job, runtime: Runtime, out: Path, listener: Listener) -> bool:
    """Run a job to its end.

    Args:
        out: where the engine's log goes.
        listener: told of each page as it ends.

    Returns:
        Whether every page came out whole.

    Raises:
        DskError: what stopped the runner, of the kind it ended with.
    """
    log = out / LOG
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(job.model_dump_json())
        file.flush()
        with (
            log.open("w", encoding="utf-8") as sink,
            runtime.start(
                "dsk.ocr.runner", [Path(file.name)], stdout=subprocess.PIPE, stderr=sink
            ) as child,
        ):
            assert child.process.stdout is not None
            failed = _follow(child.process.stdout, listener)
            code = child.wait()
    if code in (0, PagesDegraded.exit_code):
        return code == 0
    raise _ended(code, failed, log)


def _follow(stream: IO[str], listener: Listener) -> Failed | None:
    """Pass events on until the runner closes its end; the last failure is returned."""
    failed = None
    for line in stream:
        try:
            event = EVENTS.validate_json(line)
        except ValidationError:
            continue
        if isinstance(event, Failed):
            failed = event
        else:
            listener(event)
    return failed


def _ended(code: int, failed: Failed | None, log: Path) -> DskError:
    kind = next((kind for kind in KINDS if kind.exit_code == code), EngineMissing)
    if failed is not None:
        return kind(failed.message)
    return EngineMissing(f"the engine ended with status {code}", do=f"its log is {log}")

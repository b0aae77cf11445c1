"""The launcher's side of a run: start the runner, follow its events, pass on how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydantic import ValidationError

from dsk.errors import KINDS, DskError, EngineMissing, Interrupted, PagesDegraded, UsageProblem
from dsk.explain import explain_text
from dsk.matrix import load_matrix
from dsk.ocr.results.ledger import resume_hint
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import EVENTS, Died, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan
    from dsk.runtime.base import Runtime

LOG: str = run_files.ENGINE_LOG
"""What the engine printed, in the output folder."""


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


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Have an output folder to ourselves: no file is left, and no crash leaves it locked.

    Raises:
        UsageProblem: another run has it.
    """
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        what = f"another run writes to {out}"
        raise UsageProblem(what, do="wait for it, or name another folder with -o") from error
    finally:
        os.close(descriptor)


def run(
    plan: RunPlan,
    runtime: Runtime,
    out: Path,
    listener: Listener,
    *,
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Run a job to its end.

    Args:
        out: where the engine's log goes.
        listener: told of each page as it ends.
        environment: environment variables to add to the runner's.

    Returns:
        Whether every page came out whole.

    Raises:
        Interrupted: it was asked to end.
        DskError: what stopped the runner, of the kind it ended with.
    """
    log = out / LOG
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(plan.model_dump_json())
        file.flush()
        with (
            log.open("w", encoding="utf-8") as sink,
            runtime.start(
                "dsk.ocr.run.runner",
                [Path(file.name)],
                environment=environment,
                stdout=subprocess.PIPE,
                stderr=sink,
            ) as child,
        ):
            assert child.process.stdout is not None
            failed = _follow(child.process.stdout, listener)
            code = child.wait()
    if code in (0, PagesDegraded.exit_code):
        return code == 0
    if child.stop_requested:
        what = "the run was interrupted"
        do = f"what was read is kept: {resume_hint(overwrite=plan.overwrite)}"
        raise Interrupted(what, do=do)
    raise _ended(code, failed, log, plan.stack)


def _follow(stream: IO[str], listener: Listener) -> Failed | Died | None:
    """Pass events on until the runner closes its end; the last failure is returned."""
    failed: Failed | Died | None = None
    for line in stream:
        try:
            event = EVENTS.validate_json(line)
        except ValidationError:
            continue
        if isinstance(event, (Failed, Died)):
            failed = event
        else:
            listener(event)
    return failed


def _ended(code: int, failed: Failed | Died | None, log: Path, stack: str) -> DskError:
    kind = next((kind for kind in KINDS if kind.exit_code == code), EngineMissing)
    if isinstance(failed, Failed):
        return kind(failed.message)
    if failed is not None:
        code = failed.code
    known = load_matrix().stacks
    pins = known[stack].pins if stack in known else {}
    with log.open("rb") as stream:
        causes = explain_text(stream, stack=stack, pins=pins).causes
    if not causes:
        return EngineMissing(f"the engine ended with status {code}", do=f"its log is {log}")
    what = f"the engine ended with status {code}: {causes[0].cause}"
    return EngineMissing(_in_a_line(what), do=_in_a_line(f"{causes[0].fix} Its log is {log}"))


def _in_a_line(text: str) -> str:
    return " ".join(text.split())

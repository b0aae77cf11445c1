"""The runner: carries out a plan inside a stack's environment and reports events.

``python -m dsk.ocr.run.runner PLAN.json``: events go to standard output, a line of JSON each;
whatever else is printed, by vLLM or by us, goes to standard error.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dsk.errors import DskError, EngineMissing, PagesDegraded
from dsk.ocr.engines.connection import EngineDied
from dsk.ocr.engines.handle import COMMAND
from dsk.ocr.pipeline.engine_source import LocalEngines
from dsk.ocr.pipeline.scheduler import Pipeline
from dsk.ocr.pipeline.shutdown import ShutdownRequest
from dsk.ocr.schema.events import Died, Failed
from dsk.ocr.schema.run_plan import RunPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.ocr.pipeline.engine_source import EngineSource
    from dsk.ocr.schema.events import Event, Listener

_OPEN_FILES: Final = 65536


def main(engine: Sequence[str | Path] = COMMAND) -> int:
    """Carry out the plan named on the command line and return dsk's exit code.

    Args:
        engine: what to start as the engine's process.
    """
    emit = _event_writer()
    file = Path(sys.argv[1])
    plan = RunPlan.model_validate_json(file.read_bytes())
    _allow_many_files()
    if plan.umask is not None:
        os.umask(plan.umask)
    try:
        with ShutdownRequest() as shutdown:
            whole = Pipeline(plan, _engines(plan, file, engine), emit, shutdown).run()
        return 0 if whole else PagesDegraded.exit_code
    except EngineDied as died:
        emit(Died(code=died.code, how=died.how))
        return EngineMissing.exit_code
    except DskError as error:
        emit(Failed(message=str(error)))
        return error.exit_code


def _engines(plan: RunPlan, file: Path, command: Sequence[str | Path]) -> EngineSource:
    """Return where the engines of a plan are."""
    if plan.cluster:
        from dsk.ocr.cluster.source import ClusterEngines

        return ClusterEngines(plan, command)
    return LocalEngines(command, file, plan.placement)


def _allow_many_files() -> None:
    """Raise the limit of open files as far as this user may, up to what a large run takes."""
    # Each page on its way is a file, and so is the ledger of each open document: of one-page
    # documents, engines take some 1000 at once.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _event_writer() -> Listener:
    """Return a listener that alone writes to standard output."""
    # Libraries print while they are imported: from here on what they print goes to standard error.
    stream: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def emit(event: Event) -> None:
        stream.write(event.model_dump_json() + "\n")

    return emit


if __name__ == "__main__":
    sys.exit(main())

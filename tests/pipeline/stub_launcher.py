"""The launcher's side of a run as it is, with the stub in place of the engine: JOB.json."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.pipeline.running import RUNNER

from dsk.ocr.executors import runner_process
from dsk.ocr.results.summary import Summary
from dsk.ocr.run.progress import progress
from dsk.ocr.schema.run_plan import RunPlan
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class StubRuntime:
    """See `dsk.runtime.base.Runtime`."""

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
    ) -> Child:
        return Child([sys.executable, RUNNER, *arguments], stdout=stdout, stderr=stderr)


if __name__ == "__main__":
    plan = RunPlan.model_validate_json(Path(sys.argv[1]).read_bytes())
    summary = Summary(plan)
    with progress(sum(len(document.pages) for document in plan.documents)) as listener:
        whole = runner_process.run(plan, StubRuntime(), summary.count_for(listener))
    summary.write(plan.out)
    sys.exit(0 if whole else 11)

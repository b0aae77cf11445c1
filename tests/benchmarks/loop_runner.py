"""The runner with workers that render nothing and engines that read nothing: PLAN.json."""

from __future__ import annotations

import functools
import resource
import sys
from pathlib import Path

from dsk.ocr.pipeline import scheduler
from dsk.ocr.pipeline.worker_pool import WorkerPool
from dsk.ocr.run import runner

HERE = Path(__file__).parent

if __name__ == "__main__":
    program = HERE / "instant_worker.py"
    pool = functools.partial(WorkerPool, command=(sys.executable, program))
    vars(scheduler)["WorkerPool"] = pool
    code = runner.main(engine=(sys.executable, HERE / "instant_engine.py"))
    times = resource.getrusage(resource.RUSAGE_SELF)
    print(f"loop {times.ru_utime + times.ru_stime:.3f}", file=sys.stderr)
    sys.exit(code)

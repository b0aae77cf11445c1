"""The runner as it is, with `tests.pipeline.ending_engine` in place of the engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dsk.ocr.engines import loading
from dsk.ocr.run import runner

if __name__ == "__main__":
    loading.REPORT_SECONDS = int(os.environ.get("END_REPORT_SECONDS", "300"))  # type: ignore[misc]
    print("loading the weights", file=sys.stderr, flush=True)
    sys.exit(runner.main(engine=(sys.executable, Path(__file__).with_name("ending_engine.py"))))

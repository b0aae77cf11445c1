"""The runner as it is, with the stub in place of the engine."""

from __future__ import annotations

import sys
from pathlib import Path

from dsk.ocr.run import runner

if __name__ == "__main__":
    sys.exit(runner.main(engine=(sys.executable, Path(__file__).with_name("stub_engine.py"))))

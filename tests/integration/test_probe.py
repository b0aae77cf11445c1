"""A stack proves itself on the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dsk.compat import load_matrix
from dsk.compat.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.compat import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]


def test_a_stack_is_run_and_the_evidence_written(
    usable: Callable[[str], Stack], matrix_folder: Path
) -> None:
    stack = usable("cpu")
    command = [sys.executable, "-m", "dsk", "matrix", "probe", "--stack", stack.id]
    environment = os.environ | {"DSK_COMPAT": str(matrix_folder)}
    subprocess.run(command, env=environment, check=True, timeout=1800)
    written = sorted((matrix_folder / "evidence").glob("cpu-*-venv-*.json"))
    found = Evidence.model_validate_json(written[-1].read_bytes())
    assert (found.result, found.lock_sha256) == ("exact", stack.lock_sha256())
    assert found.versions["torch"] == load_matrix().stack("cpu").pins["torch"]
    assert found.pages[0]["prompt_tokens"] == 694

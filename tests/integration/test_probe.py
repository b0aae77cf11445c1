"""A stack proves itself on the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dsk.matrix import load_matrix
from dsk.matrix.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]


def test_a_stack_is_run_and_the_evidence_written(
    usable: Callable[[str], Stack], matrix_folder: Path
) -> None:
    stack = usable("cpu")
    command = [sys.executable, "-m", "dsk", "matrix", "probe", "--stack", stack.id]
    environment = os.environ | {"DSK_COMPAT": str(matrix_folder)}
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=1800
    )
    written = Path(done.stdout.rpartition("; ")[2].strip())
    assert written.parent == matrix_folder / "evidence"
    found = Evidence.model_validate_json(written.read_bytes())
    assert (found.result, found.lock_sha256) == ("exact", stack.lock_sha256())
    assert found.versions["torch"] == load_matrix().stack("cpu").pins["torch"]
    assert found.settings.items() >= stack.settings.items()
    assert found.pages[0]["prompt_tokens"] == 694
    assert 0 < found.pages[0]["seconds"] < found.seconds["reading"]

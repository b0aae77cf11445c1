"""One real page by the real engine: the README's first command, where it has run before."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dsk.matrix import load_matrix
from dsk.runtime import environments

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.engine


def test_the_demo_reads_its_page_exactly(tmp_path: Path) -> None:
    stack = load_matrix().stack("cpu")
    # In CI the demo installs what it needs, or waits for whoever is installing it.
    if environments.find(stack) is None and not os.environ.get("DSK_CI"):
        pytest.skip("no page was read by the real engine: `dsk demo` installs it (some 3 GB)")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "dsk", "demo", "-o", out],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exact. The outputs are in" in done.stdout
    assert "中文" in (out / "eyechart" / "eyechart.md").read_text("utf-8")

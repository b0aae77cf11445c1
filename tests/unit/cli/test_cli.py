"""The whole command line: what a newcomer types first, and streams that are closed or full."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FULL = (
    "error: the output cannot be written (No space left on device): send it to another file or disk"
)


def shell(line: str, folder: Path) -> tuple[int, str]:
    """Run a line with `dsk` in it in a shell; its exit code, stdout and stderr together."""
    command = f'dsk() {{ "{sys.executable}" -P -m dsk "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"DSK_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("line", "code", "printed"),
    [
        ("dsk matrix list >&-", 0, ""),
        ("dsk run - -o out <&-", 2, "error: the list of inputs is empty: name some inputs"),
        (
            "dsk matrix list >/dev/full",
            1,
            FULL,
        ),
        (
            "dsk --help >/dev/full",
            1,
            FULL,
        ),
        ("dsk matrix list >/dev/full 2>/dev/full", 1, ""),
        ("dsk matrix list 2>&- >/dev/null", 0, ""),
    ],
)
def test_a_closed_or_full_stream_ends_in_one_line_at_most(
    line: str, code: int, printed: str, tmp_path: Path
) -> None:
    found, output = shell(line, tmp_path)
    assert (found, output.strip()) == (code, printed)


def test_what_is_typed_first_gets_an_answer(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").touch()
    for line, code, printed in [
        ("dsk report.pdf", 2, "To read it: dsk run report.pdf -o out"),
        ("dsk docter", 2, "Did you mean 'doctor'?"),
        ("dsk run pdf -o out", 2, "dsk run pdf names nothing to read"),
        ("dsk run report.pdf -o -", 2, "a run writes a folder, not standard output"),
        ("printf 'PK\\003\\004' | dsk run - -o out", 12, "standard input is neither a PDF file"),
    ]:
        found, output = shell(line, tmp_path)
        assert found == code, output
        assert printed in " ".join(output.split())
        assert "Traceback" not in output

"""`dsk bench`: it takes what acts on a measurement, and touches nothing that is not its own."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest
from tests.pipeline.test_run_command import dsk, model, one_line, page

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["model", "page"]


def bench(*arguments: object, model: Path, out: Path) -> tuple[int, str, str]:
    place = ("--model", model, "--stack", "cpu", "--runtime", "in-place", "-o", out)
    return dsk("bench", *place, *arguments, cache=out.parent / "cache")


def test_a_dry_run_checks_says_where_it_would_go_and_starts_nothing(
    page: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "bench-1").mkdir(parents=True)
    code, stdout, stderr = bench(page, tmp_path / "gone.pdf", "--dry-run", model=model, out=out)
    assert code == 11
    assert stderr.startswith("warning: not read: there is no file")
    assert f"3 of 3 pages at 144 dpi -> {out}/bench-2/page" in stdout
    assert [file.name for file in out.iterdir()] == ["bench-1"]
    assert bench(page, "--dry-run", model=model, out=out)[0] == 0


@pytest.mark.parametrize(
    "option",
    ["--server=x", "--api-key=x", "--image=x", "--shm-size=1g", "--compat=official",
     "--overwrite", "--retry-failed", "--attempts=2", "--runtime=container"],
)  # fmt: skip
def test_what_would_not_act_is_no_option(
    option: str, page: Path, model: Path, tmp_path: Path
) -> None:
    code, _, stderr = bench(page, option, model=model, out=tmp_path / "out")
    assert code == 2
    assert option.partition("=")[0] in stderr


def test_a_fixed_length_and_a_longest_one_exclude_each_other(
    page: Path, model: Path, tmp_path: Path
) -> None:
    lengths = ("--fixed-tokens", 9, "--max-tokens", 9)
    code, _, stderr = bench(page, *lengths, model=model, out=tmp_path / "out")
    assert code == 2
    assert "--fixed-tokens and --max-tokens exclude each other" in one_line(stderr)


def test_an_output_folder_that_a_run_writes_to_is_left_to_it(
    page: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        code, _, stderr = bench(page, model=model, out=out)
    finally:
        os.close(descriptor)
    assert code == 2
    assert f"another run writes to {out}" in one_line(stderr)
    assert list(out.iterdir()) == []

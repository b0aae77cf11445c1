"""Memory and open files do not grow with the pages: ten times as many take no more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.pipeline import books, running

from dsk.ocr.outputs import registry

if TYPE_CHECKING:
    import pytest

ALL_TOGETHER: Final = 1_500_000_000
"""Bytes that our processes may have in memory together, the engine's apart."""
GROWTH: Final = 1.1
FEW, MANY = 510, 5010
"""Pages. A worker ends with its 500th: so one that renders is there while another writes."""
PAGE: Final = os.sysconf("SC_PAGESIZE")


@dataclass
class Peak:
    """The most that was seen at one moment, over all processes but the engine's."""

    memory: int = 0
    files: int = 0


def watched(process: subprocess.Popen[bytes], mark: bytes) -> Peak:
    """Look at the processes with a mark in their environment until one of them ends."""
    peak = Peak()
    ours: dict[str, bool] = {}
    while process.poll() is None:
        memory = files = 0
        for one in Path("/proc").glob("[0-9]*"):
            try:
                if one.name not in ours:
                    command = (one / "cmdline").read_bytes()
                    marked = mark in (one / "environ").read_bytes()
                    if marked and b"stub_engine" not in command and b"/bin/sh" not in command:
                        ours[one.name] = True
                    elif time.time() - one.stat().st_mtime > 1:  # it is what it will be
                        ours[one.name] = False
                if ours.get(one.name) and not just_forked(one):
                    memory += int((one / "statm").read_text().split()[1]) * PAGE
                    files += len(list((one / "fd").iterdir()))
            except (OSError, IndexError):  # it has ended
                continue
        peak = Peak(max(peak.memory, memory), max(peak.files, files))
        time.sleep(0.2)
    return peak


def just_forked(process: Path) -> bool:
    """True if it is still what its parent is: the same memory and files, counted with that.

    Workers stay forks of their server, and count.
    """
    parent = process.parent / (process / "stat").read_text().rpartition(")")[2].split()[1]
    command = (process / "cmdline").read_bytes()
    return b"page_worker" not in command and command == (parent / "cmdline").read_bytes()


def peak_of(pages: int, place: Path) -> Peak:
    place.mkdir()
    file = books.write(place / "book.pdf", [books.PLAIN] * pages)
    formats = frozenset(registry.names())
    plan = running.plan_for([file], place / "out", place / "model", mode="tiny", formats=formats)
    plan.out.mkdir()
    (place / "job.json").write_text(plan.model_dump_json())
    (place / "temporary").mkdir()
    mark = f"TMPDIR={place / 'temporary'}"
    with (
        (place / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.stub_launcher", place / "job.json"],
            stderr=log,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"TMPDIR": str(place / "temporary")},
        ) as process,
    ):
        peak = watched(process, mark.encode())
    assert process.returncode == 0, (place / "log").read_text()[-2000:]
    assert len(running.lines(plan.out / "book")) == pages
    return peak


def test_memory_and_open_files_do_not_grow_with_the_pages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, many = peak_of(FEW, tmp_path / "few"), peak_of(MANY, tmp_path / "many")
    with capsys.disabled():
        for pages, peak in ((FEW, few), (MANY, many)):
            memory = peak.memory / 1e6
            print(f"\nmost memory at a time, {pages} pages: {memory:.0f} MB, {peak.files} files")
    assert many.memory < ALL_TOGETHER
    assert many.memory < GROWTH * few.memory
    assert many.files <= few.files + 8

"""Counters of the kernel's out-of-memory killer, on either version of control groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dsk.processes.oom import OomCounts, counts, since

if TYPE_CHECKING:
    from pathlib import Path


def machine(root: Path, groups: str, **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


VMSTAT = "nr_free_pages 7\noom_kill 5\n"
EVENTS = "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"


@pytest.mark.parametrize(
    ("groups", "file", "text"),
    [
        ("0::/user.slice/a\n", "sys/fs/cgroup/user.slice/a/memory.events", EVENTS),
        ("0::/../outside\n", "sys/fs/cgroup/memory.events", EVENTS),
        (
            "4:memory:/a\n0::/\n",
            "sys/fs/cgroup/memory/a/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ),
    ],
)
def test_the_count_of_the_own_control_group_is_found(
    groups: str, file: str, text: str, tmp_path: Path
) -> None:
    root = machine(tmp_path, groups, **{file: text, "proc/vmstat": VMSTAT})
    assert counts(root) == OomCounts(group=2, machine=5)


def test_a_machine_that_shows_nothing_is_no_error(tmp_path: Path) -> None:
    assert counts(tmp_path) == OomCounts(group=None, machine=None)
    odd = machine(tmp_path, "nonsense\n0::/\n", **{"proc/vmstat": "oom_kill many\n"})
    assert counts(odd) == OomCounts(group=None, machine=None)


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        ((0, 0), (1, 1), "killed"),
        ((0, 0), (0, 1), "no"),
        ((None, 0), (None, 1), "perhaps"),
        ((None, 3), (None, 3), "no"),
        ((None, None), (None, None), "unknown"),
        ((2, None), (None, None), "unknown"),
    ],
)
def test_the_own_group_decides_and_else_the_machine(
    before: tuple[int | None, int | None], now: tuple[int | None, int | None], verdict: str
) -> None:
    earlier, later = (OomCounts(group=group, machine=whole) for group, whole in (before, now))
    assert since(earlier, later) == verdict

"""Probes: whatever the host does to them, there is an answer, in time."""

import time
from pathlib import Path

import pytest

from dsk.host import probes
from dsk.host.facts import Memory, Nvidia
from dsk.host.probes import Probe, nvidia, system


def test_a_probe_that_hangs_does_not_hold_up_the_others() -> None:
    def hang() -> Nvidia:
        time.sleep(60)
        raise AssertionError

    begun = time.monotonic()
    facts = probes.gather(
        [
            Probe(name="nvidia", look=hang, seconds=0.3),
            Probe(name="memory", look=lambda: Memory(total=2, available=1), seconds=0.3),
        ]
    )
    assert time.monotonic() - begun < 5
    assert facts.memory == Memory(total=2, available=1)
    assert facts.failures == {"nvidia": "no answer in 0.3 s"}


def test_this_very_host_can_be_looked_at() -> None:
    facts = probes.gather()
    assert facts.failures == {}
    assert facts.libraries
    assert facts.libraries.glibc >= (2, 17)
    assert facts.memory
    assert facts.memory.total > facts.memory.available


def test_an_unreadable_proc_is_a_failure_of_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", "/proc/meminfo")

    monkeypatch.setattr(Path, "read_text", refuse)
    facts = probes.gather()
    assert "Permission denied" in facts.failures["memory"]
    assert facts.nvidia
    assert facts.nvidia.module == ()
    assert facts.disk
    assert facts.process


@pytest.mark.parametrize(
    ("kernel", "which"),
    [
        ("6.1.0-18-amd64", 0),
        ("5.15.153.1-microsoft-standard-WSL2", 2),
        ("4.4.0-19041-Microsoft", 1),
    ],
)
def test_wsl_is_told_by_its_kernel_s_name(kernel: str, which: int) -> None:
    assert system._wsl(kernel) == which


def test_a_container_s_limit_is_read_and_none_is_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "memory.max"
    monkeypatch.setattr(system, "_LIMITS", (str(tmp_path / "missing"), str(file)))
    for text, limit in (("8589934592\n", 8 << 30), ("max\n", None), ("9223372036854771712", None)):
        file.write_text(text)
        assert system._limit(64 << 30) == limit


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("550.54.14", (550, 54, 14)),
        ("glibc 2.36", (2, 36)),
        ("v0.13.1-desktop", (0, 13, 1)),
        ("", ()),
    ],
)
def test_the_first_dotted_number_is_the_release(text: str, release: tuple[int, ...]) -> None:
    assert system.release_in(text) == release


def test_the_kernel_modules_release_is_read_from_either_kind_of_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in ("Kernel Module  550.54.14", "Open Kernel Module for x86_64  550.54.14"):
        line = f"NVRM version: NVIDIA UNIX x86_64 {kind}  Thu Feb 22 01:44:30 UTC 2024\n"
        monkeypatch.setattr(Path, "read_text", lambda *_, line=line, **__: line)
        assert nvidia._module() == (550, 54, 14)

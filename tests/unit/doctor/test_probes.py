"""Probes: whatever the host does to them, there is an answer, in time."""

import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from dsk.doctor import probes
from dsk.doctor.facts import Facts, Memory, Nvidia
from dsk.doctor.probes import Probe, containers, host, nvidia


class FakeNvml(types.ModuleType):
    """NVML as the probe sees it: each function answers, raises or hangs as it is told."""

    class NVMLError(Exception):
        pass

    def __init__(self, **answers: Any) -> None:
        super().__init__("pynvml")
        memory = types.SimpleNamespace(total=24 * 2**30, free=23 * 2**30)
        self.answers: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlSystemGetCudaDriverVersion_v2": 12040,
            "nvmlSystemGetDriverVersion": "550.54.14",
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": object(),
            "nvmlDeviceGetMemoryInfo": memory,
            "nvmlDeviceGetName": "NVIDIA GeForce RTX 4090",
            "nvmlDeviceGetCudaComputeCapability": (8, 9),
        } | answers

    def __getattr__(self, name: str) -> Any:
        answer = self.__dict__["answers"][name]

        def call(*_: object) -> Any:
            if isinstance(answer, Exception):
                raise answer
            if answer == "hang":
                time.sleep(60)
            return answer

        return call


CALLS = [name for name in FakeNvml().answers if name != "nvmlShutdown"]


def gathered(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> Facts:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(**answers))
    monkeypatch.setattr(nvidia, "has_library", lambda: True)
    return probes.gather([Probe(name="nvidia", look=nvidia.look, seconds=0.5)])


def test_nvml_that_answers_gives_driver_and_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    found = gathered(monkeypatch).nvidia
    assert found
    assert (found.driver, found.cuda) == ((550, 54, 14), (12, 4))
    assert [card.name for card in found.cards] == ["NVIDIA GeForce RTX 4090"]


@pytest.mark.parametrize("call", CALLS)
def test_an_nvml_error_is_kept_in_its_own_words(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = gathered(monkeypatch, **{call: FakeNvml.NVMLError("GPU is lost")}).nvidia
    assert found
    assert (found.problem, found.driver, found.cards) == ("GPU is lost", (), ())


@pytest.mark.parametrize("call", CALLS)
def test_nvml_that_crashes_is_a_failure(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = gathered(monkeypatch, **{call: RuntimeError("two\nlines")})
    assert facts.nvidia is None
    assert facts.failures == {"nvidia": "RuntimeError: two lines"}


@pytest.mark.parametrize("call", CALLS)
def test_nvml_that_hangs_is_a_failure_in_time(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    facts = gathered(monkeypatch, **{call: "hang"})
    assert time.monotonic() - begun < 5
    assert facts.failures == {"nvidia": "no answer in 0.5 s"}


@pytest.mark.parametrize(
    "nonsense",
    [
        {"nvmlDeviceGetCount": None},
        {"nvmlDeviceGetName": ""},
        {"nvmlDeviceGetCudaComputeCapability": "eight"},
        {"nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=-1, free=0)},
        {"nvmlSystemGetCudaDriverVersion_v2": None},
        {"nvmlSystemGetDriverVersion": 7},
    ],
    ids=str,
)
def test_nvml_that_talks_nonsense_is_a_failure(
    nonsense: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(gathered(monkeypatch, **nonsense).failures) == ["nvidia"]


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


def test_an_unreadable_proc_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied", "/proc/meminfo")

    monkeypatch.setattr(Path, "read_text", refuse)
    facts = probes.gather([Probe(name="memory", look=host.memory)])
    assert "Permission denied" in facts.failures["memory"]


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
    assert host.release_in(text) == release


def test_the_kernel_modules_release_is_read_from_either_kind_of_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in ("Kernel Module  550.54.14", "Open Kernel Module for x86_64  550.54.14"):
        line = f"NVRM version: NVIDIA UNIX x86_64 {kind}  Thu Feb 22 01:44:30 UTC 2024\n"
        monkeypatch.setattr(Path, "read_text", lambda *_, line=line: line)
        assert nvidia._module() == (550, 54, 14)


def test_a_docker_host_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    found = containers.look()
    assert found.engine == ""
    assert found.problem

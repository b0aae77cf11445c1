"""`dsk plan` for the GPUs of this machine."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from dsk.cli.plan import command
from dsk.errors import NoStackFits, UsageProblem
from dsk.host import this_machine
from dsk.host.facts import GIB, Card, Facts, Libraries, Memory, Nvidia, System

H200 = 143_771 << 20


def card(number: int, name: str, memory: int, capability: tuple[int, int]) -> Card:
    return Card(
        name=name,
        compute_capability=capability,
        memory_total=memory,
        memory_free=memory,
        number=number,
        uuid=f"GPU-{number}",
    )


CARDS = (
    card(0, "NVIDIA H200", H200, (9, 0)),
    card(1, "NVIDIA H200", H200, (9, 0)),
    card(2, "NVIDIA GeForce GTX 1060 6GB", 6 * GIB, (6, 1)),
)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts(
        system=System(
            kind="Linux", machine="x86_64", distribution="debian", codename="trixie",
            name="Debian", root=False,
        ),
        nvidia=Nvidia(driver=(580, 95, 5), cuda=(13, 0), cards=CARDS),
        libraries=Libraries(glibc=(2, 39), glibcxx=(3, 4, 33)),
        memory=Memory(total=256 * GIB, available=200 * GIB),
    )  # fmt: skip
    monkeypatch.setattr(this_machine, "gather", lambda _: facts)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(32)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def plan(gpus: str) -> str:
    return CliRunner().invoke(command, ["--gpus", gpus], catch_exceptions=False).output


def test_all_gpus_that_the_stack_runs_on_are_planned() -> None:
    text = plan("all")
    assert text.count("KV cache  ") == 2
    placed = [line for line in text.splitlines() if line.startswith("gpu ")]
    assert [line.partition(":")[0] for line in placed] == [
        "gpu     GPU 0 (NVIDIA H200)",
        "gpu     GPU 1 (NVIDIA H200)",
    ]


def test_one_gpu_is_planned_by_its_number() -> None:
    text = plan("1")
    assert "GPU 1: H200, 140.40 GiB" in text
    assert "GPU 0" not in text


def test_a_gpu_that_is_hidden_or_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(UsageProblem, match="CUDA_VISIBLE_DEVICES=0 hides it"):
        plan("1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(NoStackFits):
        plan("2")


@pytest.mark.parametrize(
    ("flag", "value"), [("--gpu", "h100"), ("--vram", "24"), ("--config", "config.json")]
)
def test_the_gpus_of_this_machine_are_not_described_as_well(flag: str, value: str) -> None:
    with pytest.raises(UsageProblem, match=f"--gpus and {flag} exclude each other"):
        CliRunner().invoke(command, ["--gpus", "0", flag, value], catch_exceptions=False)

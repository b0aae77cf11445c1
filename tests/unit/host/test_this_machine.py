"""This machine as if it had the chosen GPUs alone."""

from __future__ import annotations

import pytest

from dsk.errors import UsageProblem
from dsk.host import this_machine
from dsk.host.facts import GIB, Card, Facts, Nvidia
from dsk.host.stack_choice import silent_card


def card(number: int, name: str = "NVIDIA H200") -> Card:
    return Card(
        name=name,
        compute_capability=(9, 0),
        memory_total=140 * GIB,
        memory_free=139 * GIB,
        number=number,
        uuid=f"GPU-{number}",
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    having(monkeypatch, Nvidia(on_bus=2, module=(580, 1), cards=(card(0), card(1))))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return monkeypatch


def having(monkeypatch: pytest.MonkeyPatch, nvidia: Nvidia | None) -> None:
    monkeypatch.setattr(this_machine, "gather", lambda _: Facts(nvidia=nvidia))


def numbers(gpus: str | None = None) -> tuple[list[int], int]:
    """The numbers of the devices, and how many cards the facts have."""
    facts, devices = this_machine.probe(gpus)
    assert facts.nvidia
    return [device.number for device in devices], len(facts.nvidia.cards)


def test_all_gpus_are_taken_unless_some_are_named_or_hidden(machine: pytest.MonkeyPatch) -> None:
    assert numbers() == ([0, 1], 2)
    assert numbers("1") == ([1], 1)
    machine.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert numbers() == ([1], 1)
    with pytest.raises(UsageProblem, match="hides it"):
        numbers("0")


@pytest.mark.parametrize("variable", ["", "-1"])
def test_where_every_gpu_is_hidden_the_machine_has_none(
    variable: str, machine: pytest.MonkeyPatch
) -> None:
    machine.setenv("CUDA_VISIBLE_DEVICES", variable)
    facts, devices = this_machine.probe()
    assert devices == ()
    assert not silent_card(facts)


@pytest.mark.parametrize(
    ("variable", "left"),
    [("1", [1]), ("1,0", [0, 1]), ("GPU-0", [0]), ("", []), ("-1", []), ("7", [0, 1])],
)
def test_a_description_of_the_machine_has_the_gpus_that_are_left(
    variable: str, left: list[int], machine: pytest.MonkeyPatch
) -> None:
    machine.setenv("CUDA_VISIBLE_DEVICES", variable)
    facts = Facts(nvidia=Nvidia(on_bus=2, module=(580, 1), cards=(card(0), card(1))))
    nvidia = this_machine.shown(facts).nvidia
    assert nvidia
    assert [each.number for each in nvidia.cards] == left


def test_names_that_only_cuda_knows_are_left_to_it(machine: pytest.MonkeyPatch) -> None:
    machine.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-0/1/0")
    assert numbers() == ([], 2)


def test_without_an_answer_of_the_driver_nothing_is_chosen(machine: pytest.MonkeyPatch) -> None:
    having(machine, None)
    facts, devices = this_machine.probe()
    assert (facts.nvidia, devices) == (None, ())
    with pytest.raises(UsageProblem, match="no NVIDIA GPU answers here"):
        this_machine.probe("all")


def test_a_gpu_that_does_not_answer_is_still_seen(machine: pytest.MonkeyPatch) -> None:
    having(machine, Nvidia(on_bus=1, module=(580, 1)))
    facts, _ = this_machine.probe()
    assert silent_card(facts)


def test_numbers_that_cuda_may_count_otherwise_are_warned_of(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    having(machine, Nvidia(cards=(card(0), card(1, "NVIDIA H100"))))
    machine.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert numbers() == ([1], 1)
    assert (
        "CUDA_VISIBLE_DEVICES=1 is taken for the numbers of nvidia-smi" in capsys.readouterr().err
    )
    machine.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    numbers()
    assert capsys.readouterr().err == ""

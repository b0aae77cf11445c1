"""Which cards read, how many engines each has, and what of its memory each gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dsk.errors import NoStackFits, UsageProblem
from dsk.host.facts import Card, Memory
from dsk.host.gpu_selection import Device
from dsk.matrix import load_matrix
from dsk.matrix.memory_plan import GIB
from dsk.ocr.run import placement
from dsk.ocr.run.placement import HostResources
from dsk.ocr.schema.engine_config import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

# What NVML says of them.
H200, H100, RTX4090 = 143_771 << 20, 81_559 << 20, 24_564 << 20
NAMES = {H200: "NVIDIA H200", H100: "NVIDIA H100", RTX4090: "NVIDIA GeForce RTX 4090"}
PEAK = load_matrix().models["deepseek-ocr"].memory.v1_peak_gib * GIB


def device(
    memory: int, number: int = 0, capability: tuple[int, int] = (9, 0), instance: int | None = None
) -> Device:
    """A card of so much memory, or an instance of one."""
    card = Card(
        name=NAMES.get(memory, "NVIDIA A100"),
        compute_capability=capability,
        memory_total=memory,
        memory_free=memory,
    )
    uuid = f"GPU-{number}" if instance is None else f"MIG-{number}-{instance}"
    return Device(number=number, instance=instance, uuid=uuid, memory=memory, card=card)


def placed(
    *memories: int,
    stack: str = "v1",
    cores: int = 16,
    pages: int = 512,
    wished: int | None = None,
    memory: int | None = None,
    devices: Sequence[Device] | None = None,
) -> Placement:
    if devices is None:
        devices = [device(size, number) for number, size in enumerate(memories)]
    matrix = load_matrix()
    model = matrix.models["deepseek-ocr"]
    host = HostResources(cores=cores, memory=memory)
    return placement.place(matrix.stack(stack), model, devices, pages, wished, host)


@pytest.mark.parametrize("card", [H200, H100])
def test_a_large_card_gets_two_engines_that_fit_beside_each_other(card: int) -> None:
    (found,) = placed(card).cards
    assert found.engines == 2
    assert found.settings["gpu_memory_utilization"] == 0.425
    assert found.settings["kv_cache_memory_bytes"] >= 20 * GIB
    held = 2 * (found.settings["kv_cache_memory_bytes"] + PEAK)
    assert held == pytest.approx(0.85 * card)


@pytest.mark.parametrize(
    ("card", "machine"),
    [
        (RTX4090, {}),
        (H200, {"cores": 4}),
        (H200, {"pages": 100}),
        (H200, {"stack": "v0"}),
        (H200, {"wished": 1}),
    ],
)
def test_else_there_is_one_as_the_stack_has_it(card: int, machine: dict[str, Any]) -> None:
    (found,) = placed(card, **machine).cards
    assert (found.engines, found.settings) == (1, {})


def test_without_a_card_that_answers_cuda_takes_its_first() -> None:
    assert placed() == Placement()
    assert placed().cards[0].environment == {}


def test_as_many_as_are_wished_for_are_started_on_each_card_where_they_fit() -> None:
    assert placed(H200, wished=3, pages=1, cores=2).engines == 3
    assert placed(H200, H200, wished=3, pages=9, cores=2).engines == 6
    with pytest.raises(UsageProblem, match="GPU 1 does not hold 2 engines"):
        placed(H200, RTX4090, wished=2)
    with pytest.raises(UsageProblem, match="no card answers"):
        placed(wished=2)
    with pytest.raises(UsageProblem, match="stack 'v0' has one engine at a time"):
        placed(H200, wished=2, stack="v0")


def test_each_card_is_named_by_its_number_in_pci_order() -> None:
    cards = placed(H200, H200, cores=32, pages=2048).cards
    assert [card.environment for card in cards] == [
        {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": number} for number in "01"
    ]
    assert [str(card) for card in cards] == ["GPU 0 (NVIDIA H200)", "GPU 1 (NVIDIA H200)"]


@pytest.mark.parametrize(
    ("cores", "pages", "engines"), [(32, 2048, 4), (8, 2048, 2), (32, 300, 2), (16, 512, 4)]
)
def test_a_second_engine_a_card_wants_cores_and_pages_for_every_card(
    cores: int, pages: int, engines: int
) -> None:
    assert placed(H200, H200, cores=cores, pages=pages).engines == engines


def test_cards_of_different_kinds_get_engines_each_by_its_own_memory() -> None:
    large, small = placed(H200, RTX4090, cores=32, pages=2048).cards
    assert (large.engines, small.engines) == (2, 1)
    assert large.settings["gpu_memory_utilization"] == 0.425
    assert small.settings == {}


def test_there_are_not_more_cards_than_pages_and_the_largest_read() -> None:
    found = placed(RTX4090, H200, H100, H200, pages=2).cards
    assert [card.number for card in found] == [1, 3]


def test_an_instance_is_named_by_its_uuid_and_shared_by_nobody() -> None:
    slices = [device(71 * GIB, 1, instance=number) for number in range(2)]
    found = placed(devices=slices, cores=64, pages=4096).cards
    assert [(card.device, card.label, card.engines) for card in found] == [
        ("MIG-1-0", "GPU 1:0", 1),
        ("MIG-1-1", "GPU 1:1", 1),
    ]


def test_instances_are_left_to_cuda_unless_they_are_named() -> None:
    # vLLM's V1 engine does not take them by UUID in every release.
    slices = [device(71 * GIB, 1, instance=number) for number in range(2)]
    v0, v1 = load_matrix().stack("v0"), load_matrix().stack("v1")
    whole = device(H200)
    assert placement.fitting(v1, slices, named=True) == (tuple(slices), [])
    assert placement.fitting(v0, slices, named=False) == (tuple(slices), [])
    found, (message,) = placement.fitting(v1, slices, named=False)
    assert found == ()
    assert message.startswith("GPU 1:1 (")
    assert message.endswith("--gpus 1:1 tries it")
    found, messages = placement.fitting(v1, [whole, *slices], named=False)
    assert found == (whole,)
    assert len(messages) == 2


@pytest.mark.parametrize(
    ("cores", "memory", "starts"),
    [(32, 200 * GIB, 16), (32, 20 * GIB, 3), (2, 200 * GIB, 1), (64, 4 * GIB, 1), (8, None, 4)],
)
def test_no_more_engines_load_at_once_than_cores_and_memory_bear(
    cores: int, memory: int | None, starts: int
) -> None:
    assert placed(H200, H200, cores=cores, memory=memory).starts_at_once == starts


def test_what_a_container_may_take_counts_and_not_what_its_host_has() -> None:
    memory = Memory(total=64 * GIB, available=40 * GIB, limit=8 * GIB)
    assert placement.resources(memory).memory == 8 * GIB
    assert placement.resources(None).memory is None


def test_a_card_that_the_stack_does_not_run_on_is_left_out_and_that_is_said() -> None:
    stack = load_matrix().stack("v1")
    old, new = device(RTX4090, 1, (7, 0)), device(H200)
    found, messages = placement.fitting(stack, [new, old], named=False)
    assert found == (new,)
    (message,) = messages
    assert message.startswith("GPU 1 (NVIDIA GeForce RTX 4090) is left out: stack 'v1': it needs")
    with pytest.raises(NoStackFits, match="stack 'v1' does not fit GPU 1"):
        placement.fitting(stack, [new, old], named=True)


def test_where_no_card_fits_the_stack_that_is_forced_cuda_takes_its_first() -> None:
    old = device(RTX4090, capability=(7, 0))
    assert placement.fitting(load_matrix().stack("v1"), [old], named=False) == ((), [])


def test_a_stack_for_the_cpu_takes_no_card() -> None:
    assert placement.fitting(load_matrix().stack("cpu"), [device(H200)], named=False) == ((), [])


def test_a_server_has_one_card_the_first_that_its_stack_runs_on() -> None:
    stack = load_matrix().stack("v1")
    old, first, second = device(RTX4090, 0, (7, 0)), device(H200, 1), device(H200, 2)
    assert placement.one_card(stack, [old, first, second], None).device == "1"
    assert placement.one_card(stack, [second], "2").device == "2"
    assert placement.one_card(stack, [], None).environment == {}
    assert placement.one_card(load_matrix().stack("cpu"), [first], None).environment == {}
    with pytest.raises(UsageProblem, match="a server has one GPU, and these are 2"):
        placement.one_card(stack, [first, second], "all")
    with pytest.raises(NoStackFits, match="stack 'v1' does not fit GPU 0"):
        placement.one_card(stack, [old], "0")
    with pytest.raises(UsageProblem, match="stack 'cpu' runs on the CPU"):
        placement.one_card(load_matrix().stack("cpu"), [first], "1")


# What NVML showed at the most with vLLM 0.24.0 on an H200: one engine at 0.85, two, and three with
# 15 GiB of KV cache each.
@pytest.mark.parametrize(
    ("engines", "tokens", "peak"),
    [(1, 1_935_872, 131_652_780_032), (2, 845_328, 127_057_526_784), (3, 262_144, 84_679_983_104)],
)
def test_what_engines_hold_is_planned_within_two_percent(
    engines: int, tokens: int, peak: int
) -> None:
    cache = tokens * load_matrix().models["deepseek-ocr"].kv_cache_bytes_per_token
    assert engines * (cache + PEAK) == pytest.approx(peak, rel=0.02)

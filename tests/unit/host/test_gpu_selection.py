"""GPUs by number, UUID and instance, as CUDA_VISIBLE_DEVICES leaves them and --gpus names them."""

from __future__ import annotations

import pytest

from dsk.errors import UsageProblem
from dsk.host.facts import GIB, Card, Facts, Nvidia
from dsk.host.gpu_selection import devices_of, hides_all, limited_to, select, visible

# Number 1 fell off the bus, and number 3 is divided.
FIRST, SECOND, DIVIDED = "GPU-aaaa1111-0", "GPU-aaaa2222-0", "GPU-bbbb3333-0"
SLICES = ("MIG-cccc1111-0", "MIG-cccc2222-0")


def card(number: int, uuid: str, mig: tuple[str, ...] | None = None) -> Card:
    return Card(
        name="NVIDIA H200",
        compute_capability=(9, 0),
        memory_total=140 * GIB,
        memory_free=139 * GIB,
        number=number,
        uuid=uuid,
        mig=None if mig is None else tuple(70 * GIB for _ in mig),
        mig_uuids=mig or (),
    )


NVIDIA = Nvidia(on_bus=4, cards=(card(0, FIRST), card(2, SECOND), card(3, DIVIDED, SLICES)))
DEVICES = devices_of(NVIDIA)


def addresses(found: object) -> list[str]:
    assert isinstance(found, tuple)
    return [device.address for device in found]


def test_a_divided_gpu_is_as_many_devices_as_it_has_instances() -> None:
    assert addresses(DEVICES) == ["0", "2", "3:0", "3:1"]
    assert [device.cuda_name for device in DEVICES] == ["0", "2", *SLICES]
    assert devices_of(Nvidia(cards=(card(0, FIRST, ()),))) == ()
    assert devices_of(None) == ()


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        (None, ["0", "2", "3:0", "3:1"]),
        ("2,0", ["2", "0"]),
        (f"{SECOND}", ["2"]),
        ("GPU-aaaa2", ["2"]),
        ("GPU-aaaa", []),  # the beginning of two
        (SLICES[1], ["3:1"]),
        ("3", ["3:0"]),  # as CUDA does, which shows the first instance alone
        ("2,-1,0", ["2"]),
        ("2,1,0", ["2"]),
        ("", []),
        ("-1", []),
    ],
)
def test_the_variable_leaves_what_cuda_would_show(variable: str | None, left: list[str]) -> None:
    assert addresses(visible(DEVICES, variable)) == left


def test_a_variable_that_hides_every_gpu_is_told_from_one_that_only_cuda_understands() -> None:
    hiding = ("", "-1", "NoDevFiles", "none", "-1,0", " ")
    assert [hides_all(value) for value in hiding] == [True] * len(hiding)
    assert not hides_all("5")
    assert not hides_all(None)
    assert not hides_all("MIG-GPU-0/1/0")


@pytest.mark.parametrize(
    ("wanted", "variable", "found"),
    [
        ("all", None, ["0", "2", "3:0", "3:1"]),
        ("ALL", "2", ["2"]),
        ("2", None, ["2"]),
        ("2, 0,2", None, ["2", "0"]),
        ("3", None, ["3:0", "3:1"]),
        ("3:1", None, ["3:1"]),
        (SLICES[0].lower(), None, ["3:0"]),
        (DIVIDED, None, ["3:0", "3:1"]),
        ("2", "0,2", ["2"]),  # numbers are nvidia-smi's, whatever is hidden
        (FIRST, FIRST, ["0"]),
    ],
)
def test_gpus_are_named_as_nvidia_smi_lists_them(
    wanted: str, variable: str | None, found: list[str]
) -> None:
    assert addresses(select(DEVICES, wanted, variable)) == found


@pytest.mark.parametrize(
    ("wanted", "variable", "message"),
    [
        ("1", None, r"--gpus 1: there is no such GPU here: there are: 0 \(NVIDIA H200\), 2 "),
        ("0,7", None, "--gpus 7: there is no such GPU"),
        ("GPU-aaaa", None, "--gpus GPU-aaaa: there is no such GPU"),
        ("3:2", None, "--gpus 3:2: there is no such GPU"),
        ("MIG-", None, "--gpus MIG-: there is no such GPU"),
        ("first", None, "--gpus first: there is no such GPU"),
        ("-1", None, "--gpus -1: there is no such GPU"),
        (",", None, "--gpus names no GPU"),
        ("0", "2", r"--gpus 0: CUDA_VISIBLE_DEVICES=2 hides it: unset .* one of: 2 \(NVIDIA H200"),
        ("all", "-1", "--gpus all: CUDA_VISIBLE_DEVICES=-1 hides every GPU"),
    ],
)
def test_a_gpu_that_is_not_there_or_hidden_is_refused(
    wanted: str, variable: str | None, message: str
) -> None:
    with pytest.raises(UsageProblem, match=message):
        select(DEVICES, wanted, variable)


def test_without_gpus_all_of_them_are_refused() -> None:
    with pytest.raises(UsageProblem, match="no NVIDIA GPU answers here"):
        select((), "all", None)


def test_facts_are_those_of_a_machine_that_has_the_chosen_gpus_alone() -> None:
    chosen = select(DEVICES, "2,3:1", None)
    whole, part = limited_to(NVIDIA, chosen).cards
    assert whole.uuid == SECOND
    assert (part.mig, part.mig_uuids) == ((70 * GIB,), (SLICES[1],))
    hidden = limited_to(NVIDIA, ())
    assert (hidden.cards, hidden.on_bus) == ((), 0)


def test_no_uuid_leaves_the_process_with_the_facts() -> None:
    text = Facts(nvidia=NVIDIA).model_dump_json()
    assert "aaaa" not in text
    assert "cccc" not in text

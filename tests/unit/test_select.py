"""Which stack a GPU gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsk.compat import Gpu, load_matrix
from dsk.compat.profiles import sm
from dsk.compat.select import misfits, require, select
from dsk.errors import NoStackFits

MATRIX = load_matrix()
CARDS = st.builds(
    Gpu,
    id=st.just("card"),
    name=st.just("a card"),
    aliases=st.just(("card",)),
    compute_capability=st.tuples(st.integers(5, 13), st.integers(0, 9)).map(
        lambda pair: f"{pair[0]}.{pair[1]}"
    ),
    vram_gib=st.integers(1, 300),
    host_arch=st.sampled_from(["x86_64", "aarch64"]),
)


def test_the_rtx_4090_gets_the_working_recipe() -> None:
    assert select(MATRIX, MATRIX.gpu("rtx4090")).id == "v0"


@pytest.mark.parametrize("card", ["rtx5090", "rtx5080", "rtx5070ti", "rtxpro6000", "b200"])
def test_blackwell_gets_the_current_engine(card: str) -> None:
    assert select(MATRIX, MATRIX.gpu(card)).id == "v1"


@pytest.mark.parametrize(
    ("card", "nearest", "floor"),
    [
        ("t4", "v0", "it needs sm_80 or later, this is sm_75"),
        ("v100", "v0", "it needs sm_80 or later, this is sm_70"),
        ("gb10", "v1", "its lock is for x86_64, the card's machine is aarch64"),
    ],
)
def test_a_card_without_a_stack_is_told_the_nearest_and_the_floor(
    card: str, nearest: str, floor: str
) -> None:
    with pytest.raises(NoStackFits) as caught:
        select(MATRIX, MATRIX.gpu(card))
    assert f"the nearest is {nearest}" in caught.value.what
    assert floor in caught.value.do


def test_a_small_card_is_told_how_much_it_lacks() -> None:
    small = MATRIX.gpu("rtx4070").model_copy(update={"vram_gib": 8})
    with pytest.raises(NoStackFits, match="it needs 10 GiB of VRAM, this has 8"):
        select(MATRIX, small)


def test_a_stack_chosen_by_hand_must_fit_too() -> None:
    with pytest.raises(NoStackFits, match="none of which runs on sm_120"):
        require(MATRIX.stack("v0"), MATRIX.gpu("rtx5090"))
    require(MATRIX.stack("v1"), MATRIX.gpu("rtx4090"))


def test_kernels_run_on_later_minors_of_their_major_only() -> None:
    floors = MATRIX.stack("v0").gpu
    assert floors
    assert floors.has_kernels_for((8, 7))
    assert floors.has_kernels_for((7, 2))
    assert not floors.has_kernels_for((6, 1))
    assert not floors.has_kernels_for((12, 0))


@given(CARDS)
def test_the_chosen_stack_satisfies_every_floor(card: Gpu) -> None:
    try:
        stack = select(MATRIX, card)
    except NoStackFits:
        assert all(misfits(stack, card) for stack in MATRIX.stacks.values())
        return
    assert stack.gpu
    assert card.compute_capability >= stack.gpu.min_compute_capability
    assert any(kernel[0] == card.compute_capability[0] for kernel in stack.gpu.kernels)
    assert card.vram_gib >= stack.gpu.vram_gib
    assert card.host_arch == "x86_64"


@given(CARDS, st.sampled_from(sorted(MATRIX.stacks)))
def test_another_stack_never_makes_a_card_unsolvable(card: Gpu, left_out: str) -> None:
    fewer = {name: stack for name, stack in MATRIX.stacks.items() if name != left_out}
    smaller = MATRIX.model_copy(update={"stacks": fewer})
    if any(not misfits(stack, card) for stack in fewer.values()):
        assert not misfits(select(smaller, card), card)
        assert not misfits(select(MATRIX, card), card)


def test_compilers_name_a_compute_capability_without_its_dot() -> None:
    assert sm((12, 0)) == "sm_120"

"""Which stack a card or a machine gets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsk.errors import NoStackFits
from dsk.matrix import Gpu, Matrix, load_matrix
from dsk.matrix.profiles import sm
from dsk.matrix.select import (
    Choice,
    Host,
    Prefer,
    choose,
    host_with,
    require,
    select,
    stack_for,
    unmet_gpu_minimums,
    unmet_minimums,
)

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
        ("orin-nano-8gb", "v1", "it needs 10 GiB of VRAM, this has 8"),
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
        assert all(unmet_gpu_minimums(stack, card) for stack in MATRIX.current)
        return
    assert stack.gpu
    assert card.compute_capability >= stack.gpu.min_compute_capability
    assert any(kernel[0] == card.compute_capability[0] for kernel in stack.gpu.kernels)
    assert card.vram_gib >= stack.gpu.vram_gib
    assert stack.host.arch == (card.host_arch,)


@given(CARDS, st.sampled_from(sorted(MATRIX.stacks)))
def test_another_stack_never_makes_a_card_unsolvable(card: Gpu, left_out: str) -> None:
    fewer = {name: stack for name, stack in MATRIX.stacks.items() if name != left_out}
    smaller = MATRIX.model_copy(update={"stacks": fewer})
    if any(not unmet_gpu_minimums(stack, card) for stack in smaller.current):
        assert not unmet_gpu_minimums(select(smaller, card), card)
        assert not unmet_gpu_minimums(select(MATRIX, card), card)


def _of_one_machine(host: Host) -> Host:
    cards = (card.model_copy(update={"host_arch": host.arch}) for card in host.cards)
    return replace(host, cards=tuple(cards))


@given(CARDS, st.sampled_from(["recipe", "newest"]))
def test_an_earlier_version_of_a_stack_is_never_chosen(card: Gpu, prefer: Prefer) -> None:
    alone = {stack.id: stack for stack in MATRIX.current}
    without = MATRIX.model_copy(update={"stacks": alone})
    host = host_with(card)

    def outcome(matrix: Matrix) -> Choice | str:
        try:
            return choose(matrix, host, prefer=prefer)
        except NoStackFits as refused:
            return str(refused)

    assert outcome(MATRIX) == outcome(without)


def test_an_earlier_version_is_used_where_it_is_named() -> None:
    older = MATRIX.stack("v1@0.24.0")
    assert stack_for(MATRIX, MATRIX.gpu("h200"), older.id) == older
    with pytest.raises(NoStackFits, match=r"stack 'v1@0\.24\.0' does not fit NVIDIA T4"):
        stack_for(MATRIX, MATRIX.gpu("t4"), older.id)


HOSTS = st.builds(
    Host,
    name=st.just("a machine"),
    arch=st.sampled_from(["x86_64", "aarch64"]),
    cards=st.lists(CARDS, max_size=3).map(tuple),
    driver=st.none() | st.tuples(st.integers(400, 700), st.integers(0, 99), st.integers(0, 20)),
    glibc=st.none() | st.tuples(st.just(2), st.integers(17, 41)),
    glibcxx=st.none() | st.tuples(st.just(3), st.just(4), st.integers(10, 35)),
    ram=st.none() | st.integers(1 << 30, 1 << 38),
).map(_of_one_machine)
ORDERS = st.sampled_from(["recipe", "newest"])


@given(HOSTS, ORDERS)
def test_the_stack_chosen_for_a_machine_satisfies_every_floor(host: Host, prefer: Prefer) -> None:
    try:
        choice = choose(MATRIX, host, prefer=prefer)
    except NoStackFits:
        assert all(unmet_minimums(stack, host) for stack in MATRIX.current)
        return
    floors, around_it = choice.stack.gpu, choice.stack.host
    assert host.glibc is None or host.glibc >= around_it.glibc
    assert host.glibcxx is None or host.glibcxx >= (around_it.glibcxx or ())
    if floors is None:
        assert (host.cards, host.arch, choice.card) == ((), "x86_64", None)
        assert host.ram is None or host.ram > 0.9 * (around_it.ram_gib or 0) * 2**30
        return
    assert choice.card in host.cards
    assert choice.card
    assert choice.card.vram_gib >= floors.vram_gib
    assert floors.has_kernels_for(choice.card.compute_capability)
    assert host.driver is None or host.driver >= floors.driver


@given(HOSTS, ORDERS, st.sampled_from(sorted(MATRIX.stacks)))
def test_another_stack_never_makes_a_machine_unsolvable(
    host: Host, prefer: Prefer, added: str
) -> None:
    fewer = {name: stack for name, stack in MATRIX.stacks.items() if name != added}
    smaller = MATRIX.model_copy(update={"stacks": fewer})
    try:
        choose(smaller, host, prefer=prefer)
    except NoStackFits:
        return
    assert not unmet_minimums(choose(MATRIX, host, prefer=prefer).stack, host)


@given(CARDS, ORDERS)
def test_a_card_is_judged_by_its_figures_and_not_by_its_name(card: Gpu, prefer: Prefer) -> None:
    known = MATRIX.gpu("rtx4090")
    renamed = card.model_copy(update={"id": known.id, "name": known.name})

    def chosen(gpu: Gpu) -> str:
        try:
            return choose(MATRIX, host_with(gpu), prefer=prefer).stack.id
        except NoStackFits as none:
            return none.do

    assert chosen(card) == chosen(renamed)


@pytest.mark.parametrize("card", sorted(MATRIX.gpus))
def test_every_profile_gets_a_stack_or_a_clear_no(card: str) -> None:
    gpu = MATRIX.gpu(card)
    # bfloat16 begins with 8.0, and the weights and a page take 10 GiB.
    if gpu.compute_capability < (8, 0) or gpu.vram_gib < 10:
        with pytest.raises(NoStackFits, match=r"nearest is v[01]: it"):
            select(MATRIX, MATRIX.gpu(card))
        return
    assert select(MATRIX, MATRIX.gpu(card)).gpu


def test_the_newest_is_chosen_where_it_is_preferred() -> None:
    host = host_with(MATRIX.gpu("rtx4090"))
    assert choose(MATRIX, host, prefer="newest").stack.id == "v1"
    assert [stack.id for stack in choose(MATRIX, host).alternatives] == ["v1", "v1-cu12"]


def test_a_driver_that_is_too_old_for_one_stack_leaves_the_other() -> None:
    host = replace(host_with(MATRIX.gpu("rtx4090")), driver=(550, 54, 14))
    choice = choose(MATRIX, host)
    assert choice.stack.id == "v0"
    assert [stack.id for stack in choice.alternatives] == ["v1-cu12"]
    assert choose(MATRIX, host, prefer="newest").stack.id == "v1-cu12"
    assert choice.rejected["v1"] == ["it needs driver 580 or later, this is 550.54.14"]


@pytest.mark.parametrize("card", ["rtx5090", "rtx5060ti-16gb", "rtxpro6000", "b200"])
def test_blackwell_with_a_driver_for_cuda_12_gets_the_stack_of_cuda_12(card: str) -> None:
    host = host_with(MATRIX.gpu(card))
    assert choose(MATRIX, replace(host, driver=(570, 86, 10))).stack.id == "v1-cu12"
    assert choose(MATRIX, replace(host, driver=(580, 65, 6))).stack.id == "v1"


def test_no_kernel_of_the_stack_of_cuda_12_is_compiled_by_the_driver() -> None:
    stack = MATRIX.stack("v1-cu12")
    # FlashAttention 2 has nothing but PTX for these cards, which is newer than their drivers.
    assert stack.settings["attention_backend"] == "TRITON_ATTN"
    assert stack.settings["moe_backend"] == "triton"


@pytest.mark.parametrize("card", ["gh200-96gb", "gb200", "gb10", "thor", "orin-64gb"])
def test_a_card_in_an_arm_machine_gets_the_lock_and_the_kernels_of_that_architecture(
    card: str,
) -> None:
    gpu = MATRIX.gpu(card)
    stack = select(MATRIX, gpu)
    assert (stack.id, stack.arch, stack.lock_file.name) == ("v1", "aarch64", "v1.aarch64.txt")
    assert stack.gpu
    assert stack.gpu.has_kernels_for(gpu.compute_capability)
    assert stack.host.glibc == (2, 34)
    assert unmet_gpu_minimums(MATRIX.stacks["v0"], gpu)[0] == (
        "its lock is for x86_64, the card's machine is aarch64"
    )


def test_an_old_glibc_is_compared_with_what_the_machines_own_wheels_need() -> None:
    host = replace(host_with(MATRIX.gpu("gh200-96gb")), glibc=(2, 31))
    with pytest.raises(NoStackFits, match="the nearest is v1") as caught:
        choose(MATRIX, host)
    assert "it needs glibc 2.34, this has 2.31" in caught.value.do
    alike = replace(host_with(MATRIX.gpu("h100")), glibc=(2, 31))
    assert "v1" not in choose(MATRIX, alike).rejected


def test_of_two_cards_the_one_that_fits_is_taken() -> None:
    cards = (MATRIX.gpu("t4"), MATRIX.gpu("rtx4090"))
    choice = choose(MATRIX, replace(host_with(cards[0]), cards=cards))
    assert choice.card == cards[1]


def test_a_machine_without_a_card_gets_the_current_engine_on_its_cpu() -> None:
    host = Host(name="laptop", glibc=(2, 36), glibcxx=(3, 4, 30), ram=25_000_000_000)
    choice = choose(MATRIX, host)
    assert choice.stack.id == "cpu"
    assert choice.rejected["cpu-v0"] == ["it needs GLIBCXX_3.4.32, this has 3.4.30"]


def test_a_machine_with_less_memory_than_was_proved_is_told_how_to_try() -> None:
    with pytest.raises(NoStackFits, match=r"24 GiB of RAM, this has less \(--stack cpu tries"):
        choose(MATRIX, Host(name="laptop", ram=16 * 2**30))


@pytest.mark.parametrize("card", ["t4", "v100"])
def test_old_cards_are_told_what_their_machine_can_do_all_the_same(card: str) -> None:
    with pytest.raises(NoStackFits, match="its machine's CPU can: --stack cpu"):
        select(MATRIX, MATRIX.gpu(card))


def test_compilers_name_a_compute_capability_without_its_dot() -> None:
    assert sm((12, 0)) == "sm_120"

"""Names of cards, as people, shops and drivers write them."""

from __future__ import annotations

import contextlib
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsk.errors import UsageProblem
from dsk.matrix import Gpu, load_matrix
from dsk.matrix.card_names import CardName, find, parsed

GPUS = list(load_matrix().gpus.values())
BY_ID = {gpu.id: gpu for gpu in GPUS}


@pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: gpu.id)
def test_every_card_is_known_by_its_id_its_name_and_its_aliases(gpu: Gpu) -> None:
    for spelling in (gpu.id, gpu.name, *gpu.aliases):
        assert find(spelling, GPUS) is gpu
        assert find(spelling.upper().replace(" ", "-"), GPUS) is gpu


@pytest.mark.parametrize(
    ("written", "id_"),
    [
        ("rtx3080", "rtx3080-10gb"),
        ("RTX 3080 12GB", "rtx3080-12gb"),
        ("GeForce RTX 3080 (10 GiB)", "rtx3080-10gb"),
        ("a5000", "rtxa5000"),
        ("rtx5060ti", "rtx5060ti-16gb"),
        ("rtx4060", "rtx4060"),
        ("gh200", "gh200-96gb"),
        ("h20", "h20-96gb"),
        ("a800", "a800-80gb"),
        ("h800", "h800"),
        ("l20", "l20"),
        ("rtx4090d", "rtx4090d"),
        ("rtx 4090 laptop", "rtx4090-laptop"),
        ("4090 mobile", "rtx4090-laptop"),
        ("NVIDIA A100-SXM-80GB", "a100-80gb"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", None),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("Quadro RTX 5000 with Max-Q Design", "quadrortx5000"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "rtxpro6000"),
        ("Tesla V100-SXM3-32GB", "v100-32gb"),
        ("NVIDIA A10-24Q", None),
        ("jetson agx thor", "thor"),
    ],
)
def test_a_card_is_known_by_its_model_and_its_memory(written: str, id_: str | None) -> None:
    if id_:
        assert find(written, GPUS).id == id_
        return
    with pytest.raises(UsageProblem):
        find(written, GPUS)


def test_two_cards_of_one_model_differ_by_their_memory_and_nothing_else() -> None:
    by_model: dict[str, list[Gpu]] = {}
    for gpu in GPUS:
        by_model.setdefault(parsed(gpu.name).model, []).append(gpu)
    for alike in by_model.values():
        for one, other in itertools.combinations(alike, 2):
            assert one.compute_capability == other.compute_capability
            assert abs(one.vram_gib - other.vram_gib) > 0.1 * max(one.vram_gib, other.vram_gib)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("rtx409", "did you mean rtx4090? --compute-capability and --vram"),
        ("rtx 6090", "--compute-capability and --vram describe any card"),
        ("Voodoo", "--compute-capability and --vram describe any card"),
        ("RTX 4090 48GB", "--compute-capability 8.9 --vram 48"),
        ("A100 20GB", "--compute-capability 8.0 --vram 20"),
        ("Radeon RX 7900 XTX", "--stack cpu"),
        ("AMD Instinct MI300X", "--stack cpu"),
        ("Arc B580", "--stack cpu"),
        ("M3 Max", "--stack cpu"),
    ],
)
def test_an_unknown_card_gets_the_way_to_describe_it(written: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=re.escape(said)):
        find(written, GPUS)


NAMES = st.from_regex(
    r"(rtx|RTX |gtx|A|L|H|B|GB|RTX PRO |RTX A)[1-9][0-9]{1,3}( Ti| SUPER|D)?", fullmatch=True
)


@given(NAMES)
def test_no_card_of_another_series_is_suggested(written: str) -> None:
    try:
        gpu = find(written, GPUS)
    except UsageProblem as problem:
        suggested = re.search(r"did you mean ([\w-]+)", str(problem))
        if suggested is None:
            return
        gpu = BY_ID[suggested[1]]
    series = {parsed(text).series for text in (gpu.id, gpu.name, *gpu.aliases)}
    assert parsed(written).series in series


@given(st.text(max_size=40))
def test_any_text_is_a_card_or_a_usage_problem(written: str) -> None:
    with contextlib.suppress(UsageProblem):
        assert find(written, GPUS) in GPUS


def test_a_name_is_taken_apart() -> None:
    assert parsed("NVIDIA GeForce RTX 3080 Laptop GPU 16GB") == CardName(
        model="3080laptop", memory=16
    )
    assert parsed("NVIDIA H100 80GB HBM3") == CardName(model="h100", memory=80)

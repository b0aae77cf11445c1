"""Optional parts of an image: their names, their kernels, and the licences they bring."""

from __future__ import annotations

import pytest

from dsk.errors import UsageProblem
from dsk.images.parts import every_kernel, kernel_for, licences, part_of, parts_of
from dsk.matrix import load_matrix

MATRIX = load_matrix()
V0 = MATRIX.stack("v0")


def test_a_part_is_compiled_or_taken_as_a_wheel_by_its_name() -> None:
    named = parts_of(V0)
    assert {name: part.is_wheel for name, part in named.items()} == {
        "flash-attn": False,
        "flash-attn-wheel": True,
    }
    assert named["flash-attn"].stage == "with-flash-attn"


def test_a_stack_without_parts_says_so() -> None:
    with pytest.raises(UsageProblem, match=r"stack 'v1' has no part 'apex': leave --with out"):
        part_of(MATRIX.stack("v1"), "apex")


def test_a_card_gets_the_one_kernel_that_it_runs() -> None:
    (source,) = V0.sources
    assert every_kernel(source) == "80;90"
    assert kernel_for(source, MATRIX.gpu("rtx4090")) == "80"
    assert kernel_for(source, MATRIX.gpu("h200")) == "90"
    with pytest.raises(UsageProblem, match=r"flash-attn has no kernel for .*5090 \(sm_120\)"):
        kernel_for(source, MATRIX.gpu("rtx5090"))


def test_a_part_brings_its_licence() -> None:
    plain = licences(V0, None).split(" AND ")
    assert set(licences(V0, part_of(V0, "flash-attn")).split(" AND ")) >= {*plain, "BSD-3-Clause"}

"""Support of a model by a stack: one decision, in one line, before anything is loaded."""

from __future__ import annotations

import pytest

from dsk import models
from dsk.errors import EngineMissing, MatrixInvalid, NoStackFits
from dsk.matrix import load_matrix
from dsk.matrix.select import choose, host_with, select
from dsk.vllm_plugin import stack_support
from dsk.vllm_plugin.stack_support import obstacle, obstacle_for, stacks_for

MATRIX = load_matrix()
FIRST = models.default().record
# As Unlimited-OCR, but newer than every GPU stack's vLLM: its decoder has a window, which the V0
# engine and older releases do not know.
WINDOWED = FIRST.model_copy(
    update={
        "name": "Windowed",
        "native_vllm": "0.31.0",
        "language": FIRST.language.model_copy(update={"rswa_window": 128}),
    }
)


def test_the_first_model_is_read_by_every_stack_the_preferred_ones_first() -> None:
    able = stacks_for(FIRST, MATRIX)
    assert [stack.rank for stack in able] == sorted(stack.rank for stack in MATRIX.current)


@pytest.mark.parametrize(
    ("stack", "version"), [("v1", "0.30.0"), ("v1@0.24.0", "0.24.0"), ("v0", "0.8.5")]
)
def test_a_stack_whose_vllm_lacks_the_model_is_refused_in_one_line(
    stack: str, version: str
) -> None:
    with pytest.raises(EngineMissing) as refused:
        stack_support.require(MATRIX.stack(stack), WINDOWED, MATRIX)
    what = f"Windowed needs vLLM 0.31.0 or later; stack {stack} has {version}: "
    assert str(refused.value).startswith(what)
    assert "\n" not in str(refused.value)


def test_the_stacks_that_can_are_named() -> None:
    able = {stack.id for stack in stacks_for(WINDOWED, MATRIX)}
    advice = stack_support.advice(MATRIX.stack("v1"), WINDOWED, MATRIX)
    assert all(f"--stack {name}" in advice for name in able)
    never = WINDOWED.model_copy(update={"native_vllm": "0.33.1"})
    assert stacks_for(never, MATRIX) == []
    assert "no stack has it" in stack_support.advice(MATRIX.stack("v1"), never, MATRIX)


def test_a_model_that_no_stack_reads_on_a_gpu_is_known_in_one_line() -> None:
    assert stack_support.no_gpu_stack(FIRST, MATRIX) == ""
    line = stack_support.no_gpu_stack(WINDOWED, MATRIX)
    assert line.startswith("no stack for a GPU reads it: Windowed needs vLLM 0.31.0 or later")
    assert "--stack cpu can read it" in line


def test_on_a_gpu_an_environment_of_ones_own_is_named_where_no_stack_is_new_enough() -> None:
    advice = stack_support.advice
    in_place = "dsk run --runtime in-place reads it"
    assert in_place in advice(MATRIX.stack("v1"), WINDOWED, MATRIX)
    assert in_place not in advice(MATRIX.stack("v1"), WINDOWED, MATRIX, version="0.24.0")
    assert in_place not in advice(MATRIX.stack("cpu-v0"), WINDOWED, MATRIX)
    for name, fits in (("h200", True), ("gb10", True), ("t4", False)):
        with pytest.raises(NoStackFits) as refused:
            select(MATRIX, MATRIX.gpu(name), obstacle_for(WINDOWED))
        assert (in_place in str(refused.value)) == fits


def test_another_vllm_in_the_stacks_place_decides() -> None:
    v1 = MATRIX.stack("v1")
    assert stack_support.require(v1, WINDOWED, MATRIX, version="0.32.0").package
    assert obstacle(v1, FIRST, "0.8.5") == "vLLM 0.8.5 starts its V0 engine, stack v1 is for V1"
    with pytest.raises(EngineMissing, match=r"here is 0\.10\.2: dsk env create --stack v1$"):
        stack_support.require(v1, FIRST, MATRIX, version="0.10.2")
    with pytest.raises(EngineMissing, match=r": dsk env create --stack v1@0\.24\.0$"):
        stack_support.require(MATRIX.stack("v1@0.24.0"), FIRST, MATRIX, version="0.10.2")


def test_a_stack_that_does_not_read_the_model_is_not_chosen() -> None:
    card = MATRIX.gpu("rtx4090")
    assert select(MATRIX, card).id == "v0"
    with pytest.raises(NoStackFits, match=r"needs vLLM 0\.31\.0 or later"):
        select(MATRIX, card, obstacle_for(WINDOWED))
    choice = choose(MATRIX, host_with(card), obstacle=lambda s: "too old" if s.id == "v0" else "")
    assert (choice.stack.id, choice.rejected["v0"]) == ("v1", ["too old"])


def test_a_stack_without_vllm_is_a_fault_of_the_matrix() -> None:
    stack = MATRIX.stack("v1").model_copy(update={"pins": {"torch": "2.11.0"}})
    with pytest.raises(MatrixInvalid, match="stack 'v1' pins no vLLM"):
        obstacle(stack, FIRST)

"""Finding things in the matrix by the names that people write."""

import json
from pathlib import Path

import pytest

from dsk.errors import UsageProblem
from dsk.matrix import Matrix, load_matrix


@pytest.fixture
def matrix() -> Matrix:
    return load_matrix()


@pytest.mark.parametrize(
    ("written", "id_"),
    [
        ("rtx4090", "rtx4090"),
        ("RTX 4090", "rtx4090"),
        ("rtx-4090", "rtx4090"),
        ("4090", "rtx4090"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("GeForce RTX 3060 12GB", "rtx3060-12gb"),
        ("NVIDIA GeForce RTX 4060 Ti", "rtx4060ti-16gb"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("NVIDIA A100-SXM4-40GB", "a100-40gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx6000ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtxpro6000"),
        ("DGX Spark", "gb10"),
        ("nvidia_l40s", "l40s"),
        ("NVIDIA L40", "l40"),
        ("NVIDIA RTX A6000", "rtxa6000"),
        ("NVIDIA GeForce RTX 3090 Ti", "rtx3090ti"),
        ("NVIDIA GeForce RTX 4070 Ti", "rtx4070ti"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "rtx4070tisuper"),
        ("NVIDIA GeForce RTX 4080 SUPER", "rtx4080super"),
    ],
)
def test_a_gpu_is_known_by_what_people_and_drivers_call_it(
    matrix: Matrix, written: str, id_: str
) -> None:
    assert matrix.gpu(written).id == id_


def test_an_unknown_stack_is_told_the_known_ones(matrix: Matrix) -> None:
    with pytest.raises(
        UsageProblem, match="no such stack 'v2': known are cpu-v0, cpu, v0, v1-cu12, v1"
    ):
        matrix.stack("v2")


def test_an_earlier_version_is_found_by_its_name_and_not_among_those_to_choose_from(
    matrix: Matrix,
) -> None:
    older = matrix.stack("v1@0.24.0")
    assert (older.earlier, older.base, older.slug) == (True, "v1", "v1-0.24.0")
    assert "v1@0.24.0" in [stack.id for stack in matrix.earlier]
    assert [stack.id for stack in matrix.current] == ["v0", "v1", "v1-cu12", "cpu", "cpu-v0"]
    assert not any(stack.earlier for stack in matrix.current)
    assert older.lock_sha256() != matrix.stack("v1").lock_sha256()


def test_a_token_takes_61440_bytes_of_kv_cache(matrix: Matrix) -> None:
    # FACTS: a measured RTX 4090 log agrees with 2 x 12 x 10 x 128 x 2 bytes.
    assert matrix.models["deepseek-ocr"].kv_cache_bytes_per_token == 61_440


def test_heads_make_up_the_hidden_size(matrix: Matrix) -> None:
    text = matrix.models["deepseek-ocr"].language
    assert text.attention_heads * text.head_dim == text.hidden_size


def test_the_dimensions_print_as_json(matrix: Matrix) -> None:
    written = json.loads(matrix.models["deepseek-ocr"].model_dump_json())
    assert written["resolutions"]["gundam"]["view"] == 1024


def test_a_stack_does_not_tell_where_it_was_read(matrix: Matrix) -> None:
    assert str(Path.cwd()) not in matrix.stack("v0").model_dump_json()
